"""A prepared directory under one preparation: what of it stands, what is made again and why, what is adopted.

As in a run directory: a unit is built aside, sealed by its record, renamed into place. Unlike a chain's steps, units
hang together with nothing, so one made by other settings is set aside and made again, and said, instead of refused.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from data.errors import ChainError
from data.files.atomic import canonical_json, fsync_dir
from data.files.sealed import RECORD, Files, misfits
from data.preparation import Preparation, Unit
from data.prepared import FACTS, QUARANTINE
from pipeline.directory.prepared import PreparedLayout, address
from pipeline.directory.recipe import Recipe, differences, shown
from pipeline.directory.record import Record, faults, read_record, seal


class PrepDir:
    """Whoever changes anything through it holds the lock."""

    def __init__(self, layout: PreparedLayout, preparation: Preparation) -> None:
        self.layout, self.preparation = layout, preparation
        self._section = preparation.unit_recipe()

    def recipe(self, unit: Unit) -> Recipe:
        """What this unit is to be made from."""
        kind = self.preparation
        return {
            "kind": kind.kind,
            "version": kind.version,
            "section": self._section,
            "inputs": {"input": unit.fingerprint},
        }

    def why_again(self, unit: Unit) -> str | None:
        """Why the unit in place does not count, "" when none stands; None: it stands as wanted.

        Sizes are compared, not contents: `verify` reads every byte.
        """
        place = self.layout.unit(unit.name)
        if not place.exists():
            return ""
        try:
            record = read_record(place, address(unit.name), self.layout)
        except ChainError as error:
            return error.what
        wanted = self.recipe(unit)
        if canonical_json(record.recipe) != canonical_json(wanted):
            return changed(record.recipe, wanted)
        if found := misfits(place, record.files):
            return found[0]
        try:
            facts = self.facts(unit.name)
            lost, listed = int(facts["quarantined"]), int(facts["quarantined"]) + int(facts["patches"])
        except (ValueError, KeyError, TypeError):
            return f"{FACTS} is damaged"
        if lost > self.preparation.quarantine_limit * listed:
            return f"{lost:,} of its {listed:,} patches are in quarantine"
        return None

    def record(self, name: str) -> Record:
        """Of a standing unit. Raises ChainError (76, 78)."""
        return read_record(self.layout.unit(name), address(name), self.layout)

    def facts(self, name: str) -> dict[str, Any]:
        """Of a standing unit."""
        facts: dict[str, Any] = json.loads((self.layout.unit(name) / FACTS).read_bytes())
        return facts

    def adopt(self, units: list[Unit]) -> list[str]:
        """Publish what an earlier start sealed and did not come to publish, if it is what is wanted; remove the rest.

        Returns the names of the adopted. Every byte of them is compared with the record first.
        """
        wanted = {unit.name: unit for unit in units}
        adopted = []
        for staging in sorted(self.layout.stagings.glob("*")):
            unit = wanted.get(staging.name)
            if unit is not None and self._is_whole(staging, unit) and self.why_again(unit) is not None:
                self.publish(unit)
                adopted.append(unit.name)
            elif staging.is_dir() and not staging.is_symlink():
                shutil.rmtree(staging)
            else:
                staging.unlink()
        return adopted

    def begin(self, unit: Unit) -> Path:
        """An empty directory to make the unit in."""
        out = self.layout.staging(unit.name)
        if out.exists():
            shutil.rmtree(out)
        out.mkdir(parents=True)
        self.layout.quarantine(unit.name).unlink(missing_ok=True)
        return out

    def seal(self, unit: Unit, files: Files) -> Record:
        """Declare the finished work whole; `files`: made durable and digested by who made them."""
        return seal(self.layout.staging(unit.name), address(unit.name), self.recipe(unit), files)

    def publish(self, unit: Unit) -> None:
        """One rename puts a sealed unit in place; what stood there is set aside before."""
        place = self.layout.unit(unit.name)
        if not self.layout.units.exists():
            self.layout.units.mkdir()
            fsync_dir(self.layout.root)
        if place.exists():
            self.layout.set_aside(place, "")
        self.layout.staging(unit.name).rename(place)
        fsync_dir(self.layout.units)
        fsync_dir(self.layout.stagings)

    def drop(self, unit: Unit) -> None:
        """Remove what a failed unit left; its quarantine table is kept among the logs."""
        out = self.layout.staging(unit.name)
        if (out / QUARANTINE).is_file():
            self.layout.logs.mkdir(exist_ok=True)
            (out / QUARANTINE).replace(self.layout.quarantine(unit.name))
        shutil.rmtree(out, ignore_errors=True)

    def sweep(self) -> None:
        """Remove half-written files of an ended start."""
        for part in self.layout.root.glob(".*.part"):
            part.unlink()

    def _is_whole(self, staging: Path, unit: Unit) -> bool:
        if not (staging / RECORD).is_file():
            return False
        try:
            record = read_record(staging, address(unit.name), self.layout)
        except ChainError:
            return False
        return canonical_json(record.recipe) == canonical_json(self.recipe(unit)) and not faults(staging, record)


def changed(before: Recipe, after: Recipe) -> str:
    """Why a unit of one recipe does not do for another."""
    changes = differences(before, after, "prepare")
    # some settings change what counts of the input, too: what the user did is said
    settings = {key: change for key, change in changes.items() if not key.startswith("inputs")}
    return shown(settings) if settings else "its input, or what its settings mean for it, has changed"
