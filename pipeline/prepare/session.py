"""The verb `prepare`: list, skip, make, publish, show. Holds the lock from its first write to its last."""

import logging
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.cores import cores
from data.errors import ChainError, ExitCode
from data.files.atomic import write_bytes
from data.preparation import Preparation, Refusal, Unit
from data.prepared import EMPTY, Listed, write_index
from pipeline.directory import ledger
from pipeline.directory.prepared import PreparedLayout
from pipeline.prepare.opening import key_of, list_units, locked
from pipeline.prepare.overview import write_overview
from pipeline.prepare.pool import Begun, Failed, Made, Moved, Pool
from pipeline.prepare.prepdir import PrepDir
from pipeline.prepare.rows import Row, drawn_in_vain, named, reason_of, without_patch
from pipeline.prepare.settings import settings_text
from pipeline.prepare.table import write_table

if TYPE_CHECKING:
    from stages.prepare.previews import Previews

LOG = logging.getLogger("patchchain")
SHOWN_EVERY_S = 60.0
SHOWN = 20  # failed units that are named as they fail
# nothing would become of the other units either
FATAL = {ExitCode.IO, ExitCode.NOT_WRITABLE}


@dataclass(frozen=True)
class Options:
    """How to prepare, not what: workers (processes; 0: one a core), seconds a worker may be silent (0: for ever)."""

    workers: int = 0
    stall_s: float = 120.0


def prepare(layout: PreparedLayout, preparation: Preparation, options: Options) -> str:
    """Prepare every unit that does not stand yet; returns the summary line.

    Raises ChainError: 65 when more than `failure_limit` of the units failed (everything else stands), 66 when
    there is nothing to prepare, 69 in use, 73, 74, 78 when the directory holds something else.
    """
    with locked(layout, preparation) as lock_fd:
        return _Session(layout, preparation, options, lock_fd).run()


class _Session:
    def __init__(self, layout: PreparedLayout, preparation: Preparation, options: Options, lock_fd: int) -> None:
        self.layout, self.preparation, self.options, self.lock_fd = layout, preparation, options, lock_fd
        self.prepdir = PrepDir(layout, preparation)
        self.cores = cores()
        self.rows: dict[str, Row] = {}
        self.began = time.monotonic()
        self.made = 0  # patches, by this start
        self.warned = 0
        self.shown_at = time.monotonic()
        self.previews: Previews | None = None

    def run(self) -> str:
        key = key_of(self.layout, self.preparation)
        listed = list_units(self.preparation, key)
        units = [one for one in listed if isinstance(one, Unit)]
        self._write_settings()
        self.prepdir.sweep()
        self.layout.stagings.mkdir(exist_ok=True)
        ledger.append(
            self.layout.ledger, "start", verb="prepare", units=len(listed), cores=self.cores, versions=ledger.versions()
        )
        for name in self.prepdir.adopt(units):
            LOG.info(f"{name} was finished by an earlier start: verified, adopted")
        todo = self._todo(listed)
        self._say_left_over(listed)
        for slip in self.preparation.slips():
            LOG.warning(slip)
        try:
            if todo:
                self.layout.index.unlink(missing_ok=True)  # a chain must not read while units change below it
                self._work(todo, key)
        except BaseException as error:
            said = type(error).__name__ if self.preparation.keyed else f"{type(error).__name__}: {error}"
            ledger.append(self.layout.ledger, "ended", error=said)
            raise
        finally:
            shutil.rmtree(self.layout.stagings / ".progress", ignore_errors=True)
        return self._finish(key)

    def _todo(self, listed: list[Unit | Refusal]) -> list[Unit]:
        """Units that do not stand as wanted; rows of all others are filled in."""
        spent = ledger.seconds(self.layout.ledger)
        todo, again = [], []
        for one in listed:
            if isinstance(one, Refusal):
                self._failed(one.name, one.shown, one.error)
                continue
            why = self.prepdir.why_again(one)
            if why is None:
                facts = self.prepdir.facts(one.name)
                self.rows[one.name] = Row(one.name, one.shown, "skipped", facts, spent.get(one.name))
                continue
            self.rows[one.name] = Row(one.name, one.shown, "to do")
            todo.append(one)
            if why:
                again.append(f"{one.shown} ({why})")
        if again:
            more = f" and {len(again) - 3:,} more" if len(again) > 3 else ""
            where = self.layout.trash.relative_to(self.layout.root)
            LOG.info(f"made again, what stood is set aside in {where}: {', '.join(again[:3])}{more}")
        return todo

    def _say_left_over(self, listed: list[Unit | Refusal]) -> None:
        names = {one.name for one in listed}
        if left := [name for name in self.layout.standing() if name not in names]:
            more = f" and {len(left) - 3:,} more" if len(left) > 3 else ""
            LOG.info(f"no longer in the input, left standing and not listed: {', '.join(left[:3])}{more}")

    def _work(self, todo: list[Unit], key: bytes) -> None:
        from stages.process.progress import StageProgress

        workers = min(self.options.workers or self.cores, len(todo))
        orders = ((unit, self.prepdir.begin(unit)) for unit in todo)
        in_work: dict[str, tuple[int, int]] = {}
        finished = 0
        pool = Pool(self.preparation, key, self.layout.logs, self.lock_fd, workers, self.cores, self.options.stall_s)
        progress = self.layout.stagings / ".progress"
        progress.mkdir(exist_ok=True)
        with pool, StageProgress("prepare", len(todo), self.preparation.noun[1], progress) as bar:
            for event in pool.make(orders, len(todo)):
                name = event.unit.name
                match event:
                    case Begun():
                        ledger.append(self.layout.ledger, "begin", address=name)
                    case Moved(_, done, total):
                        in_work[name] = (done, total)
                    case Made():
                        in_work.pop(name, None)
                        finished += 1
                        self._publish(event)
                    case Failed(unit, error):
                        in_work.pop(name, None)
                        finished += 1
                        self.prepdir.drop(unit)
                        if error.code in FATAL:
                            raise error
                        self._failed(unit.name, unit.shown, error)
                parts = sum(done / total for done, total in in_work.values() if total)
                patches = self.made + sum(done for done, _ in in_work.values())
                bar.advance(finished + min(parts, len(in_work)) - bar.done, f"{patches:,} patches", patches)
                self._show_now_and_then()

    def _publish(self, event: Made) -> None:
        unit = event.unit
        self.prepdir.seal(unit, event.files)
        self.prepdir.publish(unit)
        self.made += int(event.facts["patches"])
        seconds = round(event.seconds, 3)
        ledger.append(self.layout.ledger, "done", address=unit.name, seconds=seconds)
        self.rows[unit.name] = Row(unit.name, unit.shown, "done", event.facts, seconds)
        if why := event.facts.get(EMPTY):
            LOG.info(f"{unit.shown} has no patch: {why}")

    def _failed(self, name: str, shown: str, error: ChainError) -> None:
        reason = reason_of(shown, error)
        self.rows[name] = Row(name, shown, "failed", {}, None, reason)
        ledger.append(self.layout.ledger, "failed", address=name, error=reason)
        self.warned += 1
        if self.warned <= SHOWN:
            LOG.warning(f"{named(shown, reason)}; {error.todo}")
        elif self.warned == SHOWN + 1:
            LOG.warning(f"more {self.preparation.noun[1]} fail; all are named at the end in {self.layout.table}")

    def _finish(self, key: bytes) -> str:
        rows = list(self.rows.values())
        failed = [row for row in rows if row.status == "failed"]
        good = [row for row in rows if row.good]
        summary = self._summary(rows, failed, good)
        self._show(summary)
        for label in drawn_in_vain(good):
            LOG.warning(
                f"regions are drawn of {label}, and no patch has this class: see annotations.min_share and ambiguous"
            )
        for label in without_patch(self.preparation.named_labels(), good):
            LOG.warning(
                f"prepare.labels names {label}, and no patch has this class: is what it is in the masks or points "
                "written so there (1 is not 1.0, nor 255), and min_share not too much?"
            )
        limit = self.preparation.failure_limit
        if len(failed) > limit * len(rows) or not good:
            self.layout.index.unlink(missing_ok=True)
            LOG.info(summary)
            raise self._too_many(failed, good, len(rows))
        if not any(row.facts["patches"] for row in good):
            self.layout.index.unlink(missing_ok=True)
            raise self._nothing(good)
        from data.patches.deid import key_name

        units = [Listed(row.name, self.prepdir.record(row.name).digest, int(row.facts["patches"])) for row in good]
        write_index(self.layout.index, self.preparation.kind, units, key_name(key) if self.preparation.keyed else "")
        ledger.append(self.layout.ledger, "stop", reason="prepared", detail=summary)
        return summary

    def _too_many(self, failed: list[Row], good: list[Row], units: int) -> ChainError:
        one, several = self.preparation.noun
        first = "; ".join(named(row.shown, row.reason) for row in failed[:3])
        kept = f"the other {len(good):,} {'stands' if len(good) == 1 else 'stand'}; " if good else ""
        limit = self.preparation.failure_limit
        over = len(failed) > limit * units
        back = f" (their files: python -m pipeline.prepare.which CONFIG {self.layout.root} NAME)"
        return ChainError(
            f"{len(failed):,} of {units:,} {one if units == 1 else several} could not be prepared; "
            + (f"prepare.failure_limit is {limit:.3g}" if over else "none is left"),
            first,
            f"{kept}see {self.layout.table}: mend or remove these"
            + back * self.preparation.keyed
            + (", or raise prepare.failure_limit" if good else ""),
            ExitCode.BAD_DATA,
        )

    def _nothing(self, good: list[Row]) -> ChainError:
        one, several = self.preparation.noun
        return ChainError(
            f"not one patch was found in {len(good):,} {one if len(good) == 1 else several}",
            "; ".join(named(row.shown, str(row.facts[EMPTY])) for row in good[:3]),
            f"see {self.layout.overview}, and correct the settings that leave out everything",
            ExitCode.BAD_DATA,
        )

    def _summary(self, rows: list[Row], failed: list[Row], good: list[Row]) -> str:
        one, several = self.preparation.noun
        skipped = sum(row.status == "skipped" for row in rows)
        words = f"{len(rows):,} {one if len(rows) == 1 else several}"
        words += f", {skipped:,} skipped" * bool(skipped) + f", {len(failed):,} failed" * bool(failed)
        empty = sum(not row.facts["patches"] for row in good)
        words += f", {empty:,} without a patch" * bool(empty)
        patches = sum(int(row.facts["patches"]) for row in good)
        words += f"; {patches:,} patch{'es' * (patches != 1)} of {self.preparation.patch_words()}"
        lost = sum(int(row.facts["quarantined"]) for row in good)
        words += f", {lost:,} in quarantine" * bool(lost)
        if self.made:
            words += f"; {self.made / max(1e-9, time.monotonic() - self.began):,.0f} patches/s"
        return words

    def _show_now_and_then(self) -> None:
        if time.monotonic() - self.shown_at > SHOWN_EVERY_S:
            self._show("in work")
            self.shown_at = time.monotonic()

    def _show(self, words: str) -> None:
        from stages.prepare.previews import Previews

        rows = list(self.rows.values())
        changed = write_table(self.layout.table, rows)
        if changed or not self.layout.overview.exists():  # a thousand thumbnails take seconds
            self.previews = self.previews or Previews(len(rows), self.cores)
            title = f"{self.preparation.noun[1]} prepared in {self.layout.root.absolute().name}"
            write_overview(self.layout, title, words, rows, self.previews)

    def _write_settings(self) -> None:
        text = settings_text(self.preparation).encode()
        if not self.layout.settings.exists() or self.layout.settings.read_bytes() != text:
            write_bytes(self.layout.settings, text)
