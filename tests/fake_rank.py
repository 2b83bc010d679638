"""A rank whose stage does as its section says: see `run`."""

import os
import signal
import sys
import time
import types
from pathlib import Path

from data.errors import ChainError, ExitCode
from data.files.atomic import write_json
from pipeline.launchers import rank
from stages.job import Job
from stages.process import heartbeat, signals
from stages.registry import KINDS

STEP_S = 0.05
NO_WEIGHTS = (2).to_bytes(8, "little") + b"{}"  # a safetensors file without tensors


def run(job: Job) -> str:
    """`steps` ticks; before step `at`, rank `who` does `what`; the first rank writes what training would.

    It is saved from the first step on: a second start does none.
    """
    number, section = int(os.environ["RANK"]), job.section
    saved = job.work / f"saved-{number}"
    with signals.between_batches():
        for step in range(0 if saved.exists() else section["steps"]):
            saved.touch()
            heartbeat.tick()
            if step == section.get("at") and number == section.get("who"):
                misbehave(section["what"])
            elif step == section.get("at") and section.get("what") == "leave":
                # a connection is lost when a process is gone, and before that it has said how it ended
                while not (job.work / "ranks" / f"report-{section['who']}.json").exists():
                    time.sleep(STEP_S)
                raise RuntimeError("connection closed by peer")
            if signals.asked():
                raise signals.Ended(signals.code(), f"saved at step {step}")
            time.sleep(STEP_S)
    if number == 0:
        write_json(job.out / "model.json", {"world": int(os.environ["WORLD_SIZE"]), "members": []})
        write_json(job.out / "metrics.json", {"validation": None, "test": None})
        (job.out / "model.safetensors").write_bytes(NO_WEIGHTS)
    return f"{job.address}: {section['steps']} steps"


def misbehave(what: str) -> None:
    match what:
        case "die":
            os.write(2, b"the last thing it said\n")
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(60)  # woken to say where it stands, it is still here
        case "spin":
            while True:
                pass
        case "refuse":
            raise ChainError("the loss became nan", "why", "what to do", ExitCode.DIVERGED)
        case "break":
            raise ZeroDivisionError("ours")
        case "term":
            os.kill(os.getpid(), signal.SIGTERM)
        case "leave":
            raise signals.Ended(ExitCode.PREEMPTED)
        case "interrupt":
            os.kill(os.getpid(), signal.SIGINT)


def install() -> None:
    """Make training this stage."""
    module = types.ModuleType(KINDS["train"].module)
    module.run = run  # type: ignore[attr-defined]
    sys.modules[KINDS["train"].module] = module


if __name__ == "__main__":
    install()
    rank.main(Path(sys.argv[1]), sys.argv[2] == rank.SHOWN, float(sys.argv[3]))
