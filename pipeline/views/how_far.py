"""How far unfinished work is, from the file that `stages.process.progress` writes beside it."""

import json
from pathlib import Path
from typing import Any

from data.files.regular import read_regular
from data.printable import printable


def how_far(folder: Path, name: str) -> str:
    """In words for people; empty before there is anything to tell. name: what need not be said again of its own."""
    try:
        progress: dict[str, Any] = json.loads(read_regular(folder / "progress.json"))
        part = str(progress.get("name", "")).removeprefix(name).strip()  # which network of an ensemble
        done = progress["done"]
        digits = 0 if done == int(done) else 1  # a slide can be half done
        text = f"{part} {done:,.{digits}f}/{progress['total']:,.0f} {progress['unit']}".lstrip()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return ""
    return printable(", ".join(str(part) for part in (text, progress.get("rate"), progress.get("note")) if part))
