"""Verbs that change a run directory: run, resume, rerun. Each holds the lock from its first write to its last."""

import contextlib
import dataclasses
import difflib
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data.errors import ChainError, ExitCode
from data.files.atomic import refuse_if_lost, write_bytes
from pipeline.chain import Chain
from pipeline.config.chain import ChainConfig
from pipeline.config.reading import dump, load_config
from pipeline.config.seal import sealed_text
from pipeline.directory import ledger
from pipeline.directory.changed_sources import refuse_changed
from pipeline.directory.kind import refuse_no_run, refuse_other
from pipeline.directory.layout import Layout, command
from pipeline.directory.lock import held
from pipeline.directory.recipe import differences, flat, recipe, settings, shown
from pipeline.directory.record import Stop
from pipeline.directory.reviews import hold_from
from pipeline.directory.rundir import RunDir
from pipeline.launchers.base import Launcher
from pipeline.plan import SPLITS, STORE, Step, course, plan, running_order
from stages.job import Hardware
from stages.process.signals import Ended, Watch

LOG = logging.getLogger("patchchain")
PATIENCE_S = 10.0  # for processes that are about to follow their dead parent
REFUSALS = {ExitCode.BAD_DATA, ExitCode.MISSING, ExitCode.MISMATCH}


@dataclass(frozen=True)
class Session:
    """What the command line gives to every such verb."""

    layout: Layout
    launcher: Launcher
    hardware: Hardware
    watch: Watch

    def run(self, config: ChainConfig) -> Stop:
        """Start a run directory, or go on with one that was made by this configuration."""
        for step in plan(config):
            config.section_of(step).recipe()  # a file the recipe needs and that is absent stops the run now, not later
        with self._locked("run") as lock_fd:
            if not self.layout.config.exists():
                return self._advance(RunDir(self.layout, config), "run", lock_fd)
            before = self._own(config)
            changes = settings(before.model_dump(mode="json"), config.model_dump(mode="json"))
            rundir = RunDir(self.layout, config, changes)
            rundir.refuse_mismatch()
            refuse_changed(self.layout, config)
            self._say_changes(before, config)
            return self._advance(rundir, "run", lock_fd)

    def _own(self, config: ChainConfig) -> ChainConfig:
        """The configuration in the run directory; `config` where a damage has left none that can be read."""
        try:
            return load_config(self.layout.config)
        except ChainError as error:
            if error.code != ExitCode.MISMATCH:
                raise
            # as where the file is lost: the recipes say whether this is the configuration that the steps were made by
            LOG.warning(f"{error.what} ({error.why}): it is written anew")
            return config

    def resume(self) -> Stop:
        """Go on with the configuration in the run directory."""
        with self._locked("resume") as lock_fd:
            rundir = RunDir(self.layout, load_config(self.layout.config))
            rundir.refuse_mismatch()
            return self._advance(rundir, "resume", lock_fd)

    def rerun(self, address: str, overrides: Sequence[str]) -> Stop:
        """Set a step and everything after it aside, then go on, with other settings where they touch only these."""
        with self._locked("rerun") as lock_fd:
            before = load_config(self.layout.config)
            config = load_config(self.layout.config, overrides)
            old = list(course(before, RunDir(self.layout, before).stopped))
            kept = _before(address.strip("/"), old, plan(config), self.layout)
            _refuse_earlier(kept, before, config, address, overrides, self.layout)
            rundir = RunDir(self.layout, config)
            if STORE in {step.address for step in kept}:
                self._say_kept(before, config)
            if SPLITS not in {step.address for step in kept} and self.layout.stands(SPLITS):
                LOG.warning(
                    f"{SPLITS} is drawn anew: where patches, labels or settings have changed, other patients validate "
                    "and test, and figures before and after are not of the same ones; a column `split` of a manifest "
                    "holds them"
                )
            self._say_changes(before, config)
            # the configuration first: killed after it, `resume` refuses by recipe and names this command again
            self._write(config)
            for said in hold_from(self.layout, address.strip("/")):
                LOG.info(f"{said} is honoured from {address.strip('/')} on")
            doomed = set(self.layout.standing()) - {step.address for step in kept}
            for gone in sorted(doomed, key=running_order, reverse=True):
                self.layout.set_aside(self.layout.place(gone), f"{gone} is made again")
                with contextlib.suppress(OSError):  # the folder of a round that is empty now
                    self.layout.place(gone).parent.rmdir()
            for staging in sorted(self.layout.stagings.glob("*")):
                self.layout.set_aside(staging, "unfinished work is made again")
            return self._advance(rundir, "rerun", lock_fd)

    def _say_kept(self, before: ChainConfig, config: ChainConfig) -> None:
        """Where sources changed and the store is not made again: refuse if they are named anew, else say so."""
        try:
            refuse_changed(self.layout, config)
        except ChainError as error:
            if error.code != ExitCode.MISMATCH or config.data != before.data:
                raise
            LOG.warning(f"{error.what}: what it holds is kept; to take what is new: {self.layout.rerun(STORE)}")

    def _advance(self, rundir: RunDir, verb: str, lock_fd: int) -> Stop:
        assert isinstance(rundir.config, ChainConfig)
        self._write(rundir.config)
        rundir.sweep()
        hardware = dataclasses.asdict(self.hardware)
        ledger.append(self.layout.ledger, "start", verb=verb, hardware=hardware, versions=ledger.versions())
        chain = Chain(rundir, self.launcher, self.hardware, self.watch.check)
        try:
            stop = chain.advance(lock_fd)
        except BaseException as error:
            refuse_if_lost()  # whatever it looks like: another process has been at work here
            at = chain.at.address if chain.at else ""
            ledger.append(self.layout.ledger, "ended", address=at, error=f"{type(error).__name__}: {error}")
            if isinstance(error, Ended):
                error.at = at
            if verb == "rerun":  # the same command would set aside what this one has made
                error.add_note(command("resume", self.layout.root))
            raise
        ledger.append(self.layout.ledger, "stop", reason=stop.reason, detail=stop.detail)
        return stop

    def _write(self, config: ChainConfig) -> None:
        content = sealed_text(dump(config)).encode()
        if not self.layout.config.exists() or self.layout.config.read_bytes() != content:
            write_bytes(self.layout.config, content)

    def _say_changes(self, before: ChainConfig, after: ChainConfig) -> None:
        old, new = (flat(config.model_dump(mode="json")) for config in (before, after))
        changes = {key: (old.get(key), new.get(key)) for key in sorted({*old, *new}) if old.get(key) != new.get(key)}
        if changes:
            LOG.info(f"configuration changed: {shown(changes, 12)}")

    @contextlib.contextmanager
    def _locked(self, verb: str) -> Iterator[int]:
        root = self.layout.root
        if verb != "run":
            refuse_no_run(self.layout)
        made_root = not root.exists()
        refuse_other(self.layout)
        self.layout.make()
        with held(self.layout.lock, verb, PATIENCE_S) as lock_fd:
            first = not self.layout.config.exists()
            try:
                yield lock_fd
            except ChainError as error:
                if first and error.code in REFUSALS and not self.layout.standing():
                    _forget(self.layout, made_root)
                raise


def _forget(layout: Layout, made_root: bool) -> None:
    """Undo a refused first start: remove all it made but the quarantine table."""
    left = layout.staging(STORE) / "quarantine.csv"
    if left.is_file():
        left.replace(layout.quarantine)
        LOG.info(f"the patches and reasons are in {layout.quarantine}")
    for path in (layout.stagings, layout.logs, layout.trash):
        shutil.rmtree(path, ignore_errors=True)
    for path in (layout.config, layout.ledger, layout.lock, layout.reviews_lock):
        path.unlink(missing_ok=True)
    for folder in ("rounds", "data"):
        with contextlib.suppress(OSError):
            (layout.root / folder).rmdir()
    if made_root:
        with contextlib.suppress(OSError):  # the quarantine table stays, and with it the directory
            layout.root.rmdir()


def _before(address: str, old: list[Step], new: list[Step], layout: Layout) -> list[Step]:
    """The steps of the old chain that a rerun from `address` leaves as they are."""
    known = [step.address for step in old]
    if address in known:
        return old[: known.index(address)]
    if address in layout.standing() or address in {step.address for step in new}:
        return [step for step in old if running_order(step.address) < running_order(address)]
    near = difflib.get_close_matches(address, known, 1, 0.5)
    raise ChainError(
        f"--from {address}: no such step",
        f"the steps of this chain are {', '.join(known)}",
        f"did you mean {near[0]}?" if near else "name one of these",
        ExitCode.USAGE,
    )


def _refuse_earlier(
    kept: list[Step], before: ChainConfig, after: ChainConfig, address: str, overrides: Sequence[str], layout: Layout
) -> None:
    future = {step.address: step for step in plan(after)}
    for step in kept:
        changed = future.get(step.address)
        old = recipe(step, before, step.inputs)
        new = recipe(changed, after, changed.inputs) if changed else None
        if old != new:
            what = shown(differences(old, new, step.section)) if new else f"rounds: {before.rounds} -> {after.rounds}"
            raise ChainError(
                f"{what} changes {step.address}, which comes before {address}",
                "what stands before the step that is made again is kept",
                f"make that one again as well: {layout.rerun(step.address, *overrides)}",
                ExitCode.MISMATCH,
            )
