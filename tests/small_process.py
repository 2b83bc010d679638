"""A function of a test in a process that holds no more than it needs, for tests that fork at every point of something.

A fork copies the page tables, and its end frees them: 70 ms of processor time in the process that has collected the
suite, which holds torch and half a gigabyte, and 1 ms in one that has imported a few modules of ours.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def in_small_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function`, of a module's top level, returns there. Arguments and result go as JSON.

    Raises AssertionError with all that was said where it raises, and where its modules import torch.
    """
    words = [sys.executable, "-m", __name__, function.__module__, function.__name__, json.dumps(arguments)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def main(module: str, name: str, arguments: str) -> None:
    os.fsync = lambda descriptor: None  # type: ignore[assignment]  # as in conftest
    print(json.dumps(getattr(import_module(module), name)(*json.loads(arguments))))
    assert "torch" not in sys.modules, "this process is small no more"


if __name__ == "__main__":
    main(*sys.argv[1:])
