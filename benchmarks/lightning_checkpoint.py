"""Our checkpoints beside Lightning's own, and beside `torch.save` in place, on the same tests.

    python -m benchmarks.lightning_checkpoint
    python -m benchmarks.lightning_checkpoint --kills 200 --megabytes 8

Kills: a process overwrites its last checkpoint again and again, with $TMPDIR on another file system, and is killed at a
random moment; lost is a kill after which no checkpoint can be read. What Lightning's Trainer calls is called as it
calls it. Signal: SIGTERM in the third step of a training of eight: the exit code, and the steps that a second start
repeats. NaN: a loss that is not a number in the third step: the exit code, and whether finite weights are left. Prints
a line of each as JSON. Ends with 0 when nothing of ours was lost.
"""

import argparse
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from benchmarks.forking import start, warm_up
from benchmarks.tiny_chain import CONFIG
from stages.train.checkpoint import WholeFiles, newest_verified

STEPS, STRUCK = 8, 2  # the third step is number 2
HARDWARE = ["--threads", "1", "--device", "cpu", "--quiet"]
Save = Callable[[dict[str, Any], Path, int], None]


def lightning_s(content: dict[str, Any], folder: Path, step: int) -> None:
    TorchCheckpointIO().save_checkpoint(content, folder / "last.ckpt")


def in_place(content: dict[str, Any], folder: Path, step: int) -> None:
    torch.save(content, folder / "last.ckpt")


def ours(content: dict[str, Any], folder: Path, step: int) -> None:
    WholeFiles().save_checkpoint(content, folder / f"step-{step:09d}.ckpt")


WAYS: dict[str, Save] = {"patchchain": ours, "Lightning": lightning_s, "torch.save in place": in_place}


def forked(do: Callable[[], object]) -> int:
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        code = int(do() or 0)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException as error:  # noqa: BLE001 the child must end here
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def readable(folder: Path) -> bool:
    """Whether a training could go on."""
    path = newest_verified(folder) or folder / "last.ckpt"
    try:
        return "step" in torch.load(path, weights_only=True)
    except Exception:  # noqa: BLE001 whatever it is, nothing can be read
        return False


def lost_to_kills(save: Save, root: Path, kills: int, megabytes: int, rng: random.Random) -> int:
    content = {"step": 0, "weights": torch.rand(megabytes << 18)}
    lost = 0
    for _ in range(kills):
        folder = root / "checkpoints"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        save(content, folder, 0)
        begun = time.monotonic()
        save(content, folder, 1)
        once_s = time.monotonic() - begun

        def overwrite(folder: Path = folder) -> None:
            step = 1
            while True:
                step += 1
                save(content | {"step": step}, folder, step)

        child = forked(overwrite)
        time.sleep(rng.uniform(0, 4 * once_s))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lost += not readable(folder)
    return lost


class Tiny(pl.LightningModule):
    """A training of Lightning's own, struck in its third step."""

    def __init__(self, what: str = "") -> None:
        super().__init__()
        self.layer, self.what, self.begun = torch.nn.Linear(4, 2), what, []

    def training_step(self, batch: list[torch.Tensor], number: int) -> torch.Tensor:
        self.begun.append(self.global_step)
        if self.global_step == STRUCK and self.what == "SIGTERM":
            os.kill(os.getpid(), signal.SIGTERM)
        loss = self.layer(batch[0]).square().mean()
        return loss * (float("nan") if self.global_step == STRUCK and self.what == "NaN" else 1.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters())


def of_lightning(what: str, root: Path) -> dict[str, object]:
    """Its exit code; the steps that a second start repeats, or whether finite weights are left."""
    told = root / f"lightning-{what}.json"

    def train(what: str, again: bool) -> None:
        torch.set_num_threads(1)
        data = torch.utils.data.TensorDataset(torch.ones(STEPS, 4))
        loader = torch.utils.data.DataLoader(data, batch_size=1)
        model = Tiny(what)
        trainer = pl.Trainer(default_root_dir=root / "lightning", max_steps=STEPS, accelerator="cpu", logger=False,
                             enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
        found = sorted((root / "lightning").rglob("*.ckpt"))
        trainer.fit(model, loader, ckpt_path=found[-1] if found and again else None)
        finite = all(bool(p.isfinite().all()) for p in model.parameters())
        told.write_text(json.dumps({"begun": model.begun, "finite weights left": finite}))

    shutil.rmtree(root / "lightning", ignore_errors=True)
    code = os.waitstatus_to_exitcode(os.waitpid(forked(lambda: train(what, False)), 0)[1])
    if what == "NaN":
        return {"exit": code, "finite weights left": json.loads(told.read_text())["finite weights left"]}
    told.unlink(missing_ok=True)
    os.waitpid(forked(lambda: train("", True)), 0)
    return {"exit": code, "steps repeated": sum(step <= STRUCK for step in json.loads(told.read_text())["begun"])}


def of_ours(what: str, root: Path) -> dict[str, object]:
    """The same of a teacher of eight steps, through the command line."""
    config, run = root / "tiny.yaml", root / f"run-{what}"
    config.write_text(
        "rounds: 0\n" + CONFIG.replace("steps: 3, evaluate_every: 2", f"steps: {STEPS}, evaluate_every: 8")
    )
    point = "train.step@3@term" if what == "SIGTERM" else "train.loss@3@nan"
    code = start([(["run", str(config), str(run), *HARDWARE], point)])[0].code
    saved = sorted((run / ".staging" / "rounds-00-teacher" / "work" / "checkpoints").glob("step-*.ckpt"))
    if what == "NaN":
        tensors = [torch.load(path, weights_only=True)["state_dict"].values() for path in saved]
        finite = all(bool(t.isfinite().all()) for each in tensors for t in each if t.is_floating_point())
        return {"exit": code, "finite weights left": finite}
    begun = int(saved[-1].stem.removeprefix("step-")) if saved else 0
    return {"exit": code, "steps repeated": max(0, STRUCK + 1 - begun)}


def main() -> int:
    for name in ("pytorch_lightning", "patchchain"):
        logging.getLogger(name).setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--megabytes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    memory, begun = Path("/dev/shm"), time.monotonic()
    lost: dict[str, str] = {}
    with (
        tempfile.TemporaryDirectory() as disk,
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as other,
    ):
        os.environ["TMPDIR"], tempfile.tempdir = other, None
        for name, save in WAYS.items():
            count = lost_to_kills(save, Path(disk), args.kills, args.megabytes, random.Random(args.seed))
            lost[name] = f"{count} of {args.kills}"
        warm_up([["schema"]])
        for what in ("SIGTERM", "NaN"):
            print(
                json.dumps(
                    {what: {"patchchain": of_ours(what, Path(disk)), "Lightning": of_lightning(what, Path(disk))}}
                )
            )
    print(json.dumps({"last checkpoint lost to kills": lost, "lightning": pl.__version__,
                      "seconds": round(time.monotonic() - begun)}))  # fmt: skip
    return int(not lost["patchchain"].startswith("0 "))


if __name__ == "__main__":
    sys.exit(main())
