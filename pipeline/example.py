"""Draw generated inputs, slides or CT, into a directory that is whole or absent.

    python run_chain.py example slides runs/demo-slides

Killed, the same command goes on where it was; finished, it says so and changes nothing.
"""

import contextlib
import dataclasses
import json
import logging
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from data.errors import ChainError, ExitCode
from data.files.atomic import fsync_dir, write_json
from pipeline.directory.lock import held
from pipeline.directory.workspace import refuse_no_new
from stages.process.end_with_parent import end_with_parent

LOG = logging.getLogger("patchchain")
ExampleKind = Literal["slides", "ct"]
KINDS: tuple[ExampleKind, ...] = get_args(ExampleKind)
ABOUT = "example.json"


@dataclass(frozen=True)
class Example:
    """What to draw: `count` units by `draw(index)`, then `finish()`; `settings` tell it from any other."""

    settings: dict[str, Any]
    count: int
    unit: str
    draw: Callable[[Path, int], None]
    finish: Callable[[Path], None]


def example(kind: ExampleKind, seed: int, patients: int | None) -> Example:
    """The example of a kind; patients None: as many as the shipped configuration is made for."""
    chosen = {"seed": seed} | ({} if patients is None else {"patients": patients})
    if kind == "slides":
        from data.synthetic.cohort import Cohort, draw_slide, write_table

        cohort = Cohort(**chosen)
        about = {"kind": kind, **dataclasses.asdict(cohort)}
        return Example(
            about, cohort.patients, "slides", partial(_draw, draw_slide, cohort), partial(_finish, write_table, cohort)
        )
    from data.synthetic.ct import Scans, draw_series, write_points

    scans = Scans(**chosen)
    about = {"kind": kind, **dataclasses.asdict(scans)}
    return Example(
        about, scans.patients, "series", partial(_draw, draw_series, scans), partial(_finish, write_points, scans)
    )


def draw_example(what: Example, directory: Path, processes: int = 0) -> str:
    """Draw `what` into `directory`, several units at once (0: one a core); returns one line of what was done.

    Raises ChainError 78 when the directory holds anything else, 69 when somebody draws there already, 2 for what is
    no name of a new directory.
    """
    if _is_drawn(what, directory):
        return f"{directory}: these {what.count} {what.unit} are there already"
    refuse_no_new(directory)
    begun = time.monotonic()
    work = directory.absolute().parent / f".{directory.absolute().name}.part"
    work.mkdir(parents=True, exist_ok=True)
    with held(work / "chain.lock", "example"):
        _begin(what, work)
        _draw_all(what, work, processes or os.cpu_count() or 1)
        what.finish(work)
        (work / "chain.lock").unlink()
        work.replace(directory)
        fsync_dir(directory.absolute().parent)
    return f"{directory}: {what.count} {what.unit}, {time.monotonic() - begun:.0f} s"


def _is_drawn(what: Example, directory: Path) -> bool:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if not any(directory.iterdir()):
            return False
        if _about(directory) == what.settings:
            return True
    if not directory.exists():
        return False
    raise ChainError(
        f"{directory} is not empty",
        "an example is drawn into a directory of its own, and nothing is overwritten",
        "name a directory that does not exist yet, or remove this one",
        ExitCode.MISMATCH,
    )


def _about(directory: Path) -> Any:
    with contextlib.suppress(OSError, ValueError):
        return json.loads((directory / ABOUT).read_text(encoding="utf-8"))
    return None


def _begin(what: Example, work: Path) -> None:
    """Leave `work` to be gone on with: what another example left unfinished there is removed."""
    if _about(work) == what.settings:
        LOG.info(f"example: going on in {work}")
        return
    for entry in work.iterdir():
        if entry.name != "chain.lock":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    write_json(work / ABOUT, what.settings)


def _draw_all(what: Example, work: Path, processes: int) -> None:
    from stages.process.progress import StageProgress

    context = multiprocessing.get_context("spawn")
    workers = min(processes, what.count)
    with (
        StageProgress("example", what.count, what.unit, None, per=what.unit) as progress,
        ProcessPoolExecutor(workers, context, _child, (os.getpid(),)) as pool,
    ):
        waiting = [pool.submit(what.draw, work, index) for index in range(what.count)]
        try:
            for one in as_completed(waiting):
                one.result()
                progress.advance(1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _child(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    end_with_parent(parent)


def _draw(one: Callable[[Path, Any, int], None], settings: Any, directory: Path, index: int) -> None:
    one(directory, settings, index)


def _finish(finish: Callable[[Path, Any], None], settings: Any, directory: Path) -> None:
    finish(directory, settings)
