"""Training checkpoints that are whole or absent, and read back only when they verify.

Lightning writes through $TMPDIR, which on another file system can lose the old and the new file in one
kill; and it reads pickles when an environment variable says so. Both are ours here (see plain_load).
"""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from data import fault
from data.errors import ChainError, ExitCode
from data.files.atomic import replacing, sha256_file, write_json
from stages.networks.plain_load import NotPlainError, load_plain

LOG = logging.getLogger("patchchain")
KEEP = 2  # where the newest does not verify, the one before does


class WholeFiles(CheckpointIO):
    """Sibling temporary, fsync, replace; a digest beside every checkpoint; tensors and plain values only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write `path` and then its digest; a checkpoint without a matching digest does not count."""
        where = Path(path)
        where.parent.mkdir(parents=True, exist_ok=True)
        with replacing(where) as part:
            torch.save(checkpoint, part)
            fault.written("ckpt.mid_write", part)
        fault.written("ckpt.saved", where)
        write_json(_digest_of(where), {"sha256": sha256_file(where)})
        fault.point("ckpt.digested")
        for old in _by_step(where.parent)[KEEP:]:
            self.remove_checkpoint(old)

    def load_checkpoint(self, path: Any, map_location: Any | None = None, weights_only: bool | None = None) -> Any:
        """Read tensors and plain values; never a pickle, whatever the caller or the environment says.

        Raises ChainError (76): its digest is right, so somebody has written another one under its name.
        """
        try:
            return load_plain(Path(path), map_location or "cpu")
        except NotPlainError as error:
            raise ChainError(
                f"{path} is damaged or not ours",
                str(error),
                "remove it: the training goes on from an earlier checkpoint, or begins anew",
                ExitCode.DAMAGED,
            ) from error

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint and its digest, the digest first."""
        where = Path(path)
        _digest_of(where).unlink(missing_ok=True)
        where.unlink(missing_ok=True)


def newest_verified(directory: Path) -> Path | None:
    """The checkpoint of the highest step whose digest matches; says which ones it passed over, and removes them.

    Ordered by the step in the name, never by modification time.
    """
    for path in _by_step(directory):
        if _verifies(path):
            return path
        LOG.warning(f"checkpoint {path.name} is unfinished or damaged: going back to the one before")
        WholeFiles().remove_checkpoint(path)
    return None


def _by_step(directory: Path) -> list[Path]:
    return sorted(directory.glob("step-*.ckpt"), reverse=True)


def _verifies(path: Path) -> bool:
    try:
        return bool(json.loads(_digest_of(path).read_bytes())["sha256"] == sha256_file(path))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False


def _digest_of(path: Path) -> Path:
    return path.with_name(path.name + ".sha256.json")
