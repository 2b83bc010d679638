"""Long work shows itself: rate and remaining time on a terminal, lines in the log, a file for `status`."""

import json
import logging
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stages.process import heartbeat

LOG = logging.getLogger("patchchain")
FILE_EVERY_S = 2.0
LINE_EVERY_S = 30.0


class StageProgress:
    """Progress of one stage. `units` are what the user counts (patches, steps), `per` what the rate is of."""

    def __init__(
        self, name: str, total: int, unit: str, work: Path | None, done: int = 0, per: str = "patches"
    ) -> None:
        self.name, self.total, self.unit, self.work, self.per = name, total, unit, work, per
        self.done: float = done  # parts of large units count
        self._begun = self._filed = self._lined = time.monotonic()
        self._begun_at = done
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        self._task = self._bar.add_task(name, total=total, completed=done, unit=unit, rate="", note="")

    def __enter__(self) -> "StageProgress":
        if not self._bar.disable:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._bar.disable:  # off a terminal rich would print an empty line
            self._bar.stop()

    def at(self, done: int, total: int) -> None:
        """`done` of `total` units, for work that learns its total on the way."""
        if total != self.total:
            self.total = total
            self._bar.update(self._task, total=total)
        self.advance(done - self.done)

    def advance(self, count: float, note: str = "", items: int | None = None) -> None:
        """`count` more units done; `items` patches so far in this process, where the unit is not patches."""
        self.done += count
        heartbeat.tick(f"{self.done:,.0f}/{self.total:,} {self.unit}")
        now = time.monotonic()
        elapsed = max(now - self._begun, 1e-6)
        here = self.done - self._begun_at
        pace = (items if items is not None else here) / elapsed
        rate = f"{pace:,.{0 if pace >= 10 else 1}f} {self.per}/s"
        self._bar.update(self._task, completed=self.done, rate=rate, note=note)
        if self.work is not None and now - self._filed > FILE_EVERY_S:
            self._filed = now
            # for `status` only, so not durable: nothing is decided by it
            far = {"done": self.done, "total": self.total, "unit": self.unit}
            text = json.dumps({"name": self.name, **far, "rate": rate, "note": note})
            part = self.work / "progress.json.part"
            part.write_text(text)
            part.replace(self.work / "progress.json")
        if now - self._lined > LINE_EVERY_S and not sys.stderr.isatty():
            self._lined = now
            # before anything is done nobody knows how long the rest takes
            left = f", about {elapsed / here * (self.total - self.done):,.0f} s left" if here else ""
            LOG.info(f"{self.name}: {self.done:,.0f}/{self.total:,} {self.unit}, {rate}{left} {note}".rstrip())
