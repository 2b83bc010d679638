"""Runs cases one after another in one process: `python -m tests.hostile.runner FOLDER LOG`.

Lays everything out, says so, waits for a line, then does the deeds and prints one JSON line for each.
"""

import contextlib
import io
import json
import logging
import os
import sys
import time
import traceback
from pathlib import Path

import run_chain
from data.errors import ChainError
from tests.hostile import cases  # noqa: F401  registers them
from tests.hostile.audit import mark
from tests.hostile.case import CASES, Deed, Place


def outcome(deed: Deed) -> tuple[int, str]:
    """The exit code and all that was said; -1 for anything that is no refusal."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            if not callable(deed):
                code = run_chain.main([str(word) for word in deed])
            else:
                deed()
                code = 0
        except ChainError as error:
            code = int(error.code)
            print("\n".join(error.lines()))
        except SystemExit as error:
            code = int(error.code or 0)
        except Exception:  # noqa: BLE001 what this is looking for
            code = -1
            traceback.print_exc()
    return code, said.getvalue()


def warm() -> None:
    """What libraries do when they are imported (a folder for fonts, a look for a compiler) is no case's doing."""
    import stages.networks.create
    import stages.networks.init.donor
    import stages.train.stage  # noqa: F401
    from pipeline.directory.ledger import versions

    versions()


def main(folder: Path, log: str) -> None:
    """Make, wait, do."""
    logging.getLogger("patchchain").propagate = False
    deeds = []
    for number, case in enumerate(CASES.values()):
        place = Place(folder / f"{number:03d}")
        for made in (place.inside, place.outside, place.cwd):
            made.mkdir(parents=True)
        place.secret.write_bytes(b"SECRET")
        deeds.append((case, place, case.make(place)))
    warm()
    print("made", flush=True)
    sys.stdin.readline()
    for case, place, deed in deeds:
        os.chdir(place.cwd)
        mark(log, case.name)
        began = time.process_time()
        code, said = outcome(deed)
        took = time.process_time() - began
        print(json.dumps({"name": case.name, "code": code, "said": said, "seconds": took}), flush=True)
    # not ru_maxrss, which begins at what the process that started this one had in memory
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(json.dumps({"peak_mb": int(status["VmHWM"].split()[0]) // 1024}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
