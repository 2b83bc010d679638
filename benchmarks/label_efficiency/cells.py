"""A cell: one result with what it was made from. Done is done; made by other settings is refused by name."""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_efficiency.intervals import Tallies
from data.errors import ChainError, ExitCode
from data.files.atomic import canonical_json, write_bytes, write_json

FORMAT = 2
Counted = dict[str, Tallies]  # by round/column
RESULT, TALLIES = "result.json", "tallies.npz"


@dataclass(frozen=True)
class Cell:
    """A directory of its own. made_from: everything its result depends on, as JSON values."""

    place: Path
    made_from: dict[str, Any]

    @property
    def shown(self) -> str:
        """What messages call it."""
        return "/".join(self.place.parts[-3:])

    def done(self) -> tuple[dict[str, Any], Counted] | None:
        """What was kept, and its tallies; None where there is nothing yet.

        Raises ChainError: 78 when it was made from something else, 76 when it cannot be read.
        """
        path = self.place / RESULT
        if not path.is_file():
            return None
        try:
            kept = json.loads(path.read_bytes())
            counted = _read(self.place / TALLIES)
            before, result = kept["made_from"], dict(kept["result"])
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise ChainError(
                f"{path} cannot be read", str(error), f"remove {self.place} and run the same command", ExitCode.DAMAGED
            ) from error
        now = self._signed()
        if before != now:
            differing = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
            raise ChainError(
                f"{self.shown} was made from something else ({', '.join(differing)} differs)",
                "rows of one table must be made alike",
                f"undo the change, name another --into, or remove {self.place}",
                ExitCode.MISMATCH,
            )
        return result, counted

    def keep(self, result: dict[str, Any], counted: Counted) -> None:
        """Write both durably; the result last, so that it alone proves that the cell is done."""
        self.place.mkdir(parents=True, exist_ok=True)
        write_bytes(self.place / TALLIES, _packed(counted))
        write_json(self.place / RESULT, {"made_from": self._signed(), "result": result})

    def _signed(self) -> dict[str, Any]:
        # through JSON and back: 1 and 1.0, tuples and lists compare as they will when they are read again
        signed: dict[str, Any] = json.loads(canonical_json({"format": FORMAT, **self.made_from}))
        return signed


def _packed(counted: Counted) -> bytes:
    # resamples are drawn from these again: some kilobytes where a thousand draws of each figure are megabytes
    arrays = {}
    for key, groups in counted.items():
        arrays[f"{key}/confusion"] = groups.confusion.astype(np.int32)
        arrays[f"{key}/bins"] = groups.bins
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _read(path: Path) -> Counted:
    with np.load(path, allow_pickle=False) as file:
        keys = sorted({name.rsplit("/", 1)[0] for name in file.files})
        return {key: Tallies(file[f"{key}/confusion"].astype(float), file[f"{key}/bins"]) for key in keys}
