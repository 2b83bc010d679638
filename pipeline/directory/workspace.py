"""A directory that one program at a time fills: what lies in it whoever fills it, a chain or a preparation."""

import logging
import os
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data import fault
from data.errors import ChainError, ExitCode
from data.files.atomic import fsync_dir, refuse_if_lost

# folders that something is made in, beside single steps and units
WRITTEN = (".trash", ".ranks", "rounds", "data", "units")
# and those of many folders, each of which may be written to
WRITTEN_BELOW = (".staging", "logs", "exports", "report", "reviews")
LOG = logging.getLogger("patchchain")


def refuse_no_new(directory: Path) -> None:
    """Raise ChainError (2) for what no directory can be renamed to: a link, or the folder where one stands."""
    if directory.is_symlink() or directory.name in ("", ".."):
        raise ChainError(
            f"{directory} cannot be made",
            "it is put in place whole, by one rename, and it is a link, or names the folder it would lie in",
            "name a directory that does not exist yet",
            ExitCode.USAGE,
        )


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
        """Make the directory where it is not there.

        Raises ChainError (73) when something is in the way, or a link would have it written somewhere else.
        """
        self.refuse_ways_out()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except (NotADirectoryError, FileExistsError, FileNotFoundError) as error:
            raise ChainError(
                f"{self.root} cannot be made: {error.strerror}",
                f"{error.filename or self.root} is in the way",
                "name another directory",
                ExitCode.NOT_WRITABLE,
            ) from error

    def refuse_ways_out(self) -> None:
        """Raise ChainError (73) when a link would have what is written in the directory written somewhere else.

        It may come from elsewhere. A finished step may be a link: it is read, and digested, only.
        """
        real = Path(os.path.realpath(self.root))
        for path in self._written():
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(real):
                raise ChainError(
                    f"{path} is a link that leads out of {self.root}",
                    "this program writes there, and would write somewhere else",
                    "remove the link; to keep a run elsewhere, link or move the whole directory",
                    ExitCode.NOT_WRITABLE,
                )

    def _written(self) -> Iterator[Path]:
        """What is written to or in; a folder comes before what lies in it, and is not looked into when it is a link."""
        yield from (self.root / name for name in WRITTEN)
        yield from (self.ledger, self.lock)
        yield from self.root.glob("rounds/*")
        for name in WRITTEN_BELOW:
            yield self.root / name
            for folder, folders, files in os.walk(self.root / name):
                yield from (Path(folder, name) for name in (*folders, *files))

    def set_aside(self, path: Path, why: str) -> None:
        """Move a directory into the trash by one rename; say so, unless there is nothing to say."""
        self.trash.mkdir(exist_ok=True)
        name = path.relative_to(self.root).as_posix().replace(".staging/", "").replace("/", "-")
        target, n = self.trash / name, 1
        while target.exists():
            target, n = self.trash / f"{name}-{n}", n + 1
        refuse_if_lost()
        fault.point("aside.before_rename")
        path.rename(target)
        fault.point("aside.renamed")
        fsync_dir(path.parent)
        fsync_dir(self.trash)
        if why:
            LOG.info(f"{why}; set aside in {target.relative_to(self.root)}, remove it when you like")
