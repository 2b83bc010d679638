"""From an input (a slide, a CT series) to patches: what every preparation is asked, and what it must give.

A preparation is a section of the configuration (`prepare:`). It lists units and makes one unit at a time, each into
a directory of its own; locking, workers, skipping, publishing and reporting are not its business. Its module is
imported with every configuration, so it imports its own work (OpenSlide, SimpleITK, cv2) inside the methods.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from data.errors import ChainError
from data.section import Section

Progress = Callable[[int, int], None]  # (patches done, patches in all); each call is also a sign of life


@dataclass(frozen=True)
class Unit:
    """One input that is prepared by itself.

    name: of its directory, [A-Za-z0-9._-]{1,120}, not beginning with a dot, unique, the same every time; where
    inputs may name a person it is a keyed hash, never a file name.
    shown: what tables and messages call it (slides: the path below the folder; volumes: the same keyed hash).
    paths: its input files, absolute. fingerprint: of everything its result depends on besides the settings
    (see `data.files.fingerprint`).
    """

    name: str
    shown: str
    paths: tuple[Path, ...]
    fingerprint: str


@dataclass(frozen=True)
class Refusal:
    """An input that is known to be unusable when it is listed. name, shown: as of a `Unit`."""

    name: str
    shown: str
    error: ChainError


class Preparation(Section):
    """A way from inputs to patches."""

    # what one input is called, and several
    noun: ClassVar[tuple[str, str]] = ("unit", "units")
    # inputs may name a person: names are keyed hashes, and nothing of paths or of library messages is logged
    keyed: ClassVar[bool] = False
    # raise it when the same settings and inputs would give other bytes
    version: ClassVar[int] = 1
    # keys that decide which units there are, or how many may fail, and change no unit
    not_of_a_unit: ClassVar[frozenset[str]] = frozenset({"pattern", "failure_limit", "quarantine_limit"})

    kind: str
    quarantine_limit: Annotated[
        float, Field(ge=0, le=1, description="share of one unit's patches that may be unreadable before it fails")
    ] = 0.01
    failure_limit: Annotated[
        float, Field(ge=0, le=1, description="share of units that may fail; everything else is prepared all the same")
    ] = 0.0

    @abstractmethod
    def units(self, key: bytes) -> list[Unit | Refusal]:
        """Every input in a stable order that does not depend on the machine; cheap (headers only).

        key: the secret of keyed hashes. Raises ChainError: 66 when nothing is found, 65 and 78 where no unit at
        all can be listed (a broken table).
        """

    def look_beside(self, unit: Unit) -> None:
        """Read what lies beside a unit's input and is small, as `prepare` will. Raises ChainError, as that would."""

    @abstractmethod
    def prepare(self, unit: Unit, out: Path, threads: int, progress: Progress, key: bytes) -> dict[str, Any]:
        """Write patches.h5, quarantine.csv and thumbnail.jpg of one unit into the empty directory `out`.

        Returns its facts (plain JSON: numbers, texts, lists; no times, no host, nothing that identifies a person),
        among them `patches` and `quarantined`, both counts. A unit in which nothing is wanted has no patches.h5, and
        says why in the fact EMPTY. Files and facts are byte for byte a function of the
        settings and the input, whatever `threads`. Runs in a process of its own, which may be killed at any moment.
        Raises ChainError when the unit cannot be made; with more than `quarantine_limit` of its patches unreadable
        it does so after writing quarantine.csv, which is then kept as logs/NAME.quarantine.csv.
        """

    @abstractmethod
    def patch_words(self) -> str:
        """What one patch is, for the summary: "224 px at 0.5 um/px"."""

    def slips(self) -> Sequence[str]:
        """What in the settings is allowed and hardly meant, as warnings before hours are spent. After `units`."""
        return ()

    def named_labels(self) -> Sequence[str]:
        """Labels that the settings name, and some patch is expected to have."""
        return ()

    def secret(self) -> bytes | None:
        """A key the user gives for keyed hashes; None: one is made, once, in the prepared directory."""
        return None

    def files(self, key: bytes) -> dict[str, tuple[Path, ...]]:
        """Input files by the name of their unit, for the eyes of who owns them. Raises what `units` raises."""
        return {one.name: one.paths for one in self.units(key) if isinstance(one, Unit)}

    def unit_recipe(self) -> dict[str, Any]:
        """The settings one unit depends on, as plain JSON."""
        return {name: value for name, value in self.recipe().items() if name not in self.not_of_a_unit}
