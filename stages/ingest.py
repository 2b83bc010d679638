"""The stage `ingest`: sources in, patch store out."""

import dataclasses
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from data.atomic import write_json
from data.config import DataConfig
from data.ingest import ingest
from stages.job import Job

LOG = logging.getLogger("patchchain")


def run(job: Job) -> str:
    """Write patches.h5, quarantine.csv, sources.json and store.json into `job.out`.

    Over the quarantine limit only the table is left, beside `job.out`, whence it is moved to the run directory.
    """
    config = DataConfig.model_validate_json(json.dumps(job.section))
    aside = job.out.parent / "quarantine.csv"
    started = time.monotonic()
    with _progress() as progress:
        result = ingest(
            config, job.out / "patches.h5", aside, progress, table_name="quarantine.csv in the run directory"
        )
    aside.replace(job.out / "quarantine.csv")
    write_json(job.out / "sources.json", {name: dataclasses.asdict(c) for name, c in result.sources.items()})
    n, lost = len(result.table), len(result.quarantined)
    store = {"n": n, "mode": config.mode, "size_px": config.size_px, "classes": list(result.classes)}
    write_json(job.out / "store.json", store)
    LOG.info("ingest: %s patches/s", f"{(n + lost) / max(1e-9, time.monotonic() - started):,.0f}")
    quarantine = f"{lost:,} in quarantine.csv" if lost else "none in quarantine"
    return f"{n:,} patches of {config.size_px} px ({config.mode}), {len(result.classes)} classes, {quarantine}"


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar with rate and remaining time where a person watches, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(TextColumn("ingest"), *columns, console=Console(stderr=True), transient=True) as bar:
        task, started = bar.add_task("ingest", total=None, rate=""), time.monotonic()

        def show(done: int, total: int) -> None:
            rate = f"{done / max(1e-9, time.monotonic() - started):,.0f} patches/s"
            bar.update(task, completed=done, total=total, rate=rate)

        yield show
