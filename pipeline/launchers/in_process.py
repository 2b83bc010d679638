"""One device: the stage runs in this process and saves the seconds of a second start."""

import contextlib
import importlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data.printable import PrintableFormatter
from pipeline.failures import explained, internal
from pipeline.garbage import garbage_collected, none_collected
from stages.job import Job
from stages.registry import KINDS

LOG = logging.getLogger("patchchain")


@dataclass(frozen=True)
class InProcess:
    """See Launcher. log: the name of the log file in the job's folder."""

    log: str = "stage.log"

    def launch(self, job: Job, lock_fd: int) -> str:
        """See Launcher. The lock needs no handing on: this process holds it."""
        with logged_to(job.log / self.log):
            try:
                with none_collected():
                    stage = importlib.import_module(KINDS[job.kind].module)
                with garbage_collected():
                    summary: str = stage.run(job)
            except SystemExit as error:  # a library's way out is no finished stage
                raise internal(RuntimeError(f"exit {error.code}"), job.address, job.log / self.log) from error
            except Exception as error:
                known = explained(error, job.address, job.out)
                if known is None:
                    LOG.debug("traceback", exc_info=True)
                    raise internal(error, job.address, job.log / self.log) from error
                LOG.debug(f"refused: {' | '.join(known.lines())}")
                if known is error:
                    raise
                raise known from error
        return summary


@contextlib.contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Everything logged in this block is appended to `path` as well, warnings of libraries included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger()
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(PrintableFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level, own_level = root.level, LOG.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    LOG.setLevel(logging.DEBUG)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        LOG.setLevel(own_level)
        root.setLevel(level)
        root.removeHandler(handler)
        with contextlib.suppress(OSError):  # what is still to be written finds no room: that ends nothing
            handler.close()
