"""A directory that one program at a time fills: what lies in it whoever fills it, a chain or a preparation."""

import logging
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from data import fault
from data.atomic import fsync_dir
from data.errors import ChainError, ExitCode

LOG = logging.getLogger("patchchain")


@dataclass(frozen=True)
class Workspace:
    """Paths that every such directory has. `root` is as the user gave it, for messages."""

    root: Path

    @property
    def lock(self) -> Path:
        """Who writes to it."""
        return self.root / "chain.lock"

    @property
    def ledger(self) -> Path:
        """The story, for people."""
        return self.root / "ledger.jsonl"

    @property
    def stagings(self) -> Path:
        """Work in flight."""
        return self.root / ".staging"

    @property
    def trash(self) -> Path:
        """What was set aside: a rerun, or work of another recipe. Only its owner removes it."""
        return self.root / ".trash"

    @property
    def logs(self) -> Path:
        """Logs lie outside the committed directories, whose bytes are compared."""
        return self.root / "logs"

    @property
    @abstractmethod
    def begun(self) -> bool:
        """Whether the directory is one of ours already, so that a log may be left in it."""

    @abstractmethod
    def remedy(self, address: str) -> str:
        """How what is committed under this address is made again, in words after "put the file back, or"."""

    def make(self) -> None:
        """Make the directory where it is not there. Raises ChainError (73) when something is in the way."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except (NotADirectoryError, FileExistsError, FileNotFoundError) as error:
            raise ChainError(
                f"{self.root} cannot be made: {error.strerror}",
                f"{error.filename or self.root} is in the way",
                "name another directory",
                ExitCode.NOT_WRITABLE,
            ) from error

    def set_aside(self, path: Path, why: str) -> None:
        """Move a directory into the trash by one rename; say so, unless there is nothing to say."""
        self.trash.mkdir(exist_ok=True)
        name = path.relative_to(self.root).as_posix().replace(".staging/", "").replace("/", "-")
        target, n = self.trash / name, 1
        while target.exists():
            target, n = self.trash / f"{name}-{n}", n + 1
        fault.point("aside.before_rename")
        path.rename(target)
        fault.point("aside.renamed")
        fsync_dir(path.parent)
        fsync_dir(self.trash)
        if why:
            LOG.info(f"{why}; set aside in {target.relative_to(self.root)}, remove it when you like")
