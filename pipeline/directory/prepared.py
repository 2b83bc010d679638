"""Where everything lies in a prepared directory."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from data.prepared import ID_KEY, SETTINGS, UNITS
from data.prepared import INDEX as INDEX_NAME
from pipeline.directory.layout import command
from pipeline.directory.workspace import Workspace


@dataclass(frozen=True)
class PreparedLayout(Workspace):
    """Paths of one prepared directory."""

    @property
    def settings(self) -> Path:
        """The resolved settings; it marks the directory as a prepared one."""
        return self.root / SETTINGS

    @property
    def index(self) -> Path:
        """Written when all is well: the units and their digests, which a chain reads."""
        return self.root / INDEX_NAME

    @property
    def units(self) -> Path:
        """One directory a unit."""
        return self.root / UNITS

    @property
    def table(self) -> Path:
        """One row a unit, for people."""
        return self.root / "table.csv"

    @property
    def overview(self) -> Path:
        """All thumbnails and the table, for people."""
        return self.root / "overview.html"

    @property
    def key(self) -> Path:
        """The secret of keyed hashes, made once."""
        return self.root / ID_KEY

    def unit(self, name: str) -> Path:
        """The directory of a finished unit."""
        return self.units / name

    def staging(self, name: str) -> Path:
        """The directory of a unit in work."""
        return self.stagings / name

    def quarantine(self, name: str) -> Path:
        """Left behind by a unit that too many unreadable patches ended."""
        return self.logs / f"{name}.quarantine.csv"

    def standing(self) -> list[str]:
        """Names of all finished units, whatever they were made from, sorted."""
        return sorted(path.name for path in self.units.glob("*") if path.is_dir())

    def remedy(self, address: str) -> str:
        """See Workspace."""
        where = shlex.quote(str(self.root / address))
        return f"remove {where} and make it again: {command('prepare', 'CONFIG', self.root)}"

    @property
    def begun(self) -> bool:
        """Whether this is a prepared directory, finished or not."""
        return self.settings.is_file()


def address(name: str) -> str:
    """What a unit's record calls it."""
    return f"{UNITS}/{name}"
