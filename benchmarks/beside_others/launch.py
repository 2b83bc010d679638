"""Run a Python script as `python SCRIPT WORDS` does, and count the steps of its optimisers.

    python -m benchmarks.beside_others.launch SCRIPT WORDS

A byte for every step is added to the file named by STEPS: what a kill undid is a step that is counted twice. WILDS'
`run_expt.py` also gets the stand-ins it cannot start without (shims.py); no file of WILDS is changed for them.
"""

import os
import runpy
import sys
from pathlib import Path
from typing import Any

STEPS = "BESIDE_OTHERS_STEPS"


def count_steps(path: str) -> Any:
    """From now on, of every optimiser of torch in this process; with what is returned it is ended."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return register_optimizer_step_post_hook(lambda *_: os.write(file, b".") and None)


def main() -> None:
    script = Path(sys.argv[1])
    sys.argv = sys.argv[1:]
    if script.name == "run_expt.py":
        from benchmarks.beside_others import shims

        sys.path[0:1] = [str(script.parent), str(script.parent.parent)]
        shims.install()
    else:
        sys.path[0] = str(script.parent)
    # WILDS' wrapper starts others and trains nothing: it need not wait for torch
    if script.name in ("run_expt.py", "run_chain.py"):
        count_steps(os.environ[STEPS])
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
