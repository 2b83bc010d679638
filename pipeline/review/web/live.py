"""The report of a run that goes on: written anew, aside, when something was finished, and shown meanwhile as it was."""

import hashlib
import threading
import time
from pathlib import Path
from typing import Any

from data.errors import ChainError
from data.files.sealed import RECORD
from data.printable import printable
from pipeline.directory.layout import Layout
from pipeline.directory.reviews import holds
from pipeline.plan import FINAL
from pipeline.review.web.faults import refusal
from pipeline.views.reviewed import lines, told
from pipeline.views.status import status

PAUSE_S = 15.0  # between two reports: a chain that trains needs the processor more


class Live:
    """One run directory, looked at."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._page: bytes | None = None
        self._made, self._tried, self._error = "", "", ""
        self._ended: float | None = None

    def page(self) -> bytes | None:
        """The newest report that was written; None before the first."""
        return self._page

    def state(self) -> dict[str, Any]:
        """For the page to ask again and again; begins a report where the one at hand is older than the run."""
        try:
            shown = [printable(line) for line in status(self.layout)]
            reviewed = lines(told(self.layout))
            key = self._key()
        except ChainError as error:
            return {"status": error.lines(), "reviews": [], "report": self._made, "busy": False, "error": ""}
        with self._lock:
            busy = self._thread is not None and self._thread.is_alive()
            rested = self._ended is None or time.monotonic() - self._ended > PAUSE_S
            if key != self._tried and not busy and rested:
                self._tried = key
                self._thread = threading.Thread(target=self._make, args=(key,), daemon=True)
                self._thread.start()
                busy = True
        return {"status": shown, "reviews": reviewed, "report": self._made, "busy": busy, "error": self._error}

    def _key(self) -> str:
        # a step that was made again stands under the address it had: when it was sealed tells
        sealed = [(address, _changed(self.layout.place(address) / RECORD)) for address in self.layout.standing()]
        found = [f"{address} {what}" for address, what in (*sealed, *holds(self.layout).items())]
        return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]

    def _make(self, key: str) -> None:
        from pipeline.report.build import Options, build_page
        from pipeline.views.web_page import file_bytes

        # the map asks the network about patches: not beside a chain that needs the same processor
        options = Options() if self.layout.stands(FINAL) else Options(embed=0)
        try:
            self._page = file_bytes(build_page(self.layout, options))
            self._made, self._error = key, ""
        except ChainError as error:
            self._error = " ".join(error.lines())
        except Exception as error:  # noqa: BLE001 nobody waits for this thread: what is wrong is said on the page
            self._error = " ".join(refusal(error, self.layout).lines())
        finally:
            self._ended = time.monotonic()


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # taken away by a rerun at this moment
        return 0
