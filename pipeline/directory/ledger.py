"""The story of a run, one JSON line an event. For people and for estimates; no decision ever reads it."""

import json
import logging
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data import fault
from data.files.atomic import refuse_if_lost

LOG = logging.getLogger("patchchain")
PACKAGES = ("torch", "pytorch-lightning", "timm", "albumentations", "numpy")


def append(path: Path, event: str, **facts: Any) -> None:
    """Add one line. A ledger that cannot be written is said and does not end the run."""
    line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, **facts}, sort_keys=True)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            refuse_if_lost()
            fault.point("ledger.append")
            os.write(descriptor, (b"\n" if torn else b"") + line.encode() + b"\n")
            fault.written("ledger.appended", path)
        finally:
            os.close(descriptor)
    except OSError as error:
        LOG.warning(f"{path.name} could not be written: {error.strerror}")


def events(path: Path) -> Iterator[dict[str, Any]]:
    """Every whole line; a torn one is passed over."""
    if not path.is_file():
        return
    for line in path.read_bytes().splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            yield event


def seconds(path: Path) -> dict[str, float]:
    """Address -> seconds of its last run to the end."""
    return {
        str(event["address"]): float(event["seconds"])
        for event in events(path)
        if event.get("event") == "done" and "address" in event and "seconds" in event
    }


def versions() -> dict[str, str]:
    """What ran: Python, the packages that compute, the platform. Imports none of them."""
    import importlib.metadata  # heavy, and for who reads the ledger of no use

    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
