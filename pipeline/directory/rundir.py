"""The run directory: directories are the truth, recipes are the guards.

A stage is built aside in `.staging/`, sealed by its record, and renamed into place. What stands in place was
made by the recipe in its record, or the run is refused by name.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data import fault
from data.errors import ChainError, ExitCode
from data.files.atomic import canonical_json, fsync_dir, refuse_if_lost, write_json
from data.files.regular import read_regular
from data.files.sealed import RECORD
from pipeline.directory.layout import Layout
from pipeline.directory.recipe import Recipe, Science, differences, recipe, shown
from pipeline.directory.record import Record, damaged, faults, read_record, seal, stop_of
from pipeline.directory.reviews import digest_of, inputs_at, settled
from pipeline.plan import Step, course

LOG = logging.getLogger("patchchain")


@dataclass(frozen=True)
class Staging:
    """A step in flight. `sealed`: an earlier run finished it and did not come to publish it."""

    root: Path
    sealed: bool

    @property
    def out(self) -> Path:
        """What will be published."""
        return self.root / "out"

    @property
    def work(self) -> Path:
        """Checkpoints and shards."""
        return self.root / "work"


class RunDir:
    """One run directory under one configuration. Whoever changes anything through it holds the lock.

    `settings`: what `--set` has to say to come from the run's own configuration to this one.
    """

    def __init__(self, layout: Layout, config: Science, settings: Sequence[str] = ()) -> None:
        self.layout, self.config, self.settings = layout, config, settings
        self._verified: set[str] = set()

    def is_done(self, step: Step) -> bool:
        """In place, made by this recipe, and every byte as committed. Raises ChainError (76, 78) otherwise."""
        if not self.layout.stands(step.address):
            return False
        record = self.matching(step)
        if step.address not in self._verified:
            self._verify(step.address, record)
        return True

    def matching(self, step: Step) -> Record:
        """The record of a standing step, if it was made by this configuration. Raises ChainError (76, 78)."""
        record = read_record(self.layout.place(step.address), step.address, self.layout)
        absent = [address for address in step.inputs.values() if not self.layout.stands(address)]
        if absent:
            raise ChainError(
                f"{step.address} stands, but {absent[0]}, which it is made from, does not",
                "it belongs to a chain of other length, or something was removed",
                f"make it and all after it again: {self.layout.rerun(step.address, *self.settings)}",
                ExitCode.MISMATCH,
            )
        wanted = self.recipe(step)
        if canonical_json(record.recipe) != canonical_json(wanted):
            raise self._other_recipe(step, record.recipe, wanted)
        return record

    def refuse_mismatch(self) -> None:
        """Compare everything in place with the plan, before anything is run. Raises ChainError (76, 78)."""
        steps = {step.address: step for step in course(self.config, self.stopped)}
        for address in self.layout.standing():
            if address in steps:
                self.matching(steps[address])
                continue
            raise ChainError(
                f"{address} stands, but is no step of this chain",
                f"with rounds: {self.config.rounds}, and as its steps turned out, the chain does not come there",
                f"undo that change, or set it aside: {self.layout.rerun(address, *self.settings)}",
                ExitCode.MISMATCH,
            )

    def recipe(self, step: Step) -> Recipe:
        """What this step is to be made from; its inputs stand."""
        digests = {
            role: read_record(self.layout.place(address), address, self.layout).digest
            for role, address in step.inputs.items()
        }
        said = {role: digest_of(self.layout, address) for role, address in inputs_at(self.layout, step).items()}
        return recipe(step, self.config, digests | said)

    def inputs(self, step: Step) -> dict[str, Path]:
        """Role -> directory of all that a step is made from: other steps, and the reviews that hold at it."""
        said = inputs_at(self.layout, step)
        for address in said.values():
            if address not in self._verified:
                self._verify(address, read_record(self.layout.place(address), address, self.layout))
        return {role: self.layout.place(address) for role, address in (step.inputs | said).items()}

    def staging(self, step: Step) -> Staging:
        """The folder to work in: gone on with if the recipe is the same, else set aside and begun anew.

        A review that is imported meanwhile finds the step begun, or waits and finds it so.
        """
        with settled(self.layout):
            return self._staging(step)

    def _staging(self, step: Step) -> Staging:
        root = self.layout.staging(step.address)
        wanted = self.recipe(step)
        if root.exists():
            begun = _begun_recipe(root)
            if begun is None and (root / "work").exists():
                self.layout.set_aside(root, f"unfinished work on {step.address} does not say what it was made from")
            elif begun is not None and canonical_json(begun) != canonical_json(wanted):
                changes = shown(differences(begun, wanted, step.section))
                self.layout.set_aside(
                    root, f"unfinished work on {step.address} was made by a different recipe ({changes})"
                )
            elif self._is_whole(step, root / "out", wanted):
                LOG.info(f"{step.address} was finished by an earlier run: verified, adopted")
                return Staging(root, True)
        root.mkdir(parents=True, exist_ok=True)
        write_json(root / "recipe.json", wanted)
        fsync_dir(root.parent)
        if (root / "out").exists():
            shutil.rmtree(root / "out")  # whatever is not sealed is begun anew; checkpoints lie in work/
        for folder in ("out", "work"):
            (root / folder).mkdir(exist_ok=True)
        fault.point("stage.begin")
        return Staging(root, False)

    def seal(self, step: Step) -> None:
        """Declare the finished work of a step whole."""
        refuse_if_lost()
        fault.point("stage.after_work")
        out = self.layout.staging(step.address) / "out"
        seal(out, step.address, self.recipe(step))
        fault.written("stage.sealed", out / RECORD)

    def publish(self, step: Step) -> None:
        """One rename puts a sealed step in place."""
        root, place = self.layout.staging(step.address), self.layout.place(step.address)
        for folder in reversed(place.relative_to(self.layout.root).parents[:-1]):
            if not (self.layout.root / folder).exists():
                (self.layout.root / folder).mkdir()
                fsync_dir((self.layout.root / folder).parent)
        refuse_if_lost()
        fault.point("stage.before_rename")
        (root / "out").rename(place)
        fault.point("stage.renamed")
        fsync_dir(place.parent)
        fsync_dir(root)
        fault.point("stage.committed")
        self._verified.add(step.address)
        shutil.rmtree(root)
        fault.point("stage.swept")

    def stopped(self, address: str) -> bool:
        """Whether the chain ends at this step."""
        return self.layout.stands(address) and stop_of(self.layout.place(address)) is not None

    def sweep(self) -> None:
        """Remove what a killed run left half-written; say so. What was set aside stays: it may be days of work."""
        parts = [
            path for path in [*self.layout.root.glob("*.part"), *self.layout.stagings.rglob("*.part")] if path.is_file()
        ]
        for part in parts:
            part.unlink()
        if parts:
            LOG.info(f"removed {len(parts)} unfinished file{'s' * (len(parts) > 1)}")
        for address in self.layout.standing():
            published = self.layout.staging(address)
            if published.exists():
                shutil.rmtree(published)

    def _verify(self, address: str, record: Record) -> None:
        if found := faults(self.layout.place(address), record):
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise damaged(self.layout, address, f"{address}/{found[0]}{more}")
        self._verified.add(address)

    def _is_whole(self, step: Step, out: Path, wanted: Recipe) -> bool:
        if not (out / RECORD).exists():
            return False
        try:
            record = read_record(out, step.address, self.layout)
        except ChainError as error:
            found = [error.what]
        else:
            found = faults(out, record)
            if canonical_json(record.recipe) != canonical_json(wanted):
                found.append("made by a different recipe")
        if found:
            self.layout.set_aside(out.parent, f"finished work on {step.address} does not verify ({found[0]})")
        return not found

    def _other_recipe(self, step: Step, before: Recipe, after: Recipe) -> ChainError:
        changes = differences(before, after, step.section)
        keep = "go on with the version of the program that made it" if "version" in changes else "undo that change"
        return ChainError(
            f"{step.address} was made by a different recipe ({shown(changes)})",
            "what stands in place is kept as it was made, and later steps are built on it",
            f"keep it: {keep}; remake it: {self.layout.rerun(step.address, *self.settings)}",
            ExitCode.MISMATCH,
        )


def _begun_recipe(root: Path) -> Recipe | None:
    """The recipe a staging folder was begun with; None before anything was written into it."""
    try:
        begun: Any = json.loads(read_regular(root / "recipe.json"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return dict(begun) if isinstance(begun, dict) else None
