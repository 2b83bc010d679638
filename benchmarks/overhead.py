"""What a stage costs beside its work: seconds that do not grow with it.

    python -m benchmarks.overhead

Prints, as JSON: the seconds of each stage of a chain so small that nearly all of it is overhead (without the imports,
which a chain pays once); of one checkpoint of a ResNet-50 (weights, their average, AdamW's moments), written, digested
and forced to disk; of the check of its gradients at every step; of `status`; and from the command `resume` to the
first step, imports included. On a machine that does other things as well the seconds of the processor say more.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.forking import start, warm_up
from benchmarks.tiny_chain import CONFIG
from pipeline.directory.ledger import seconds

ROOT = Path(__file__).resolve().parent.parent
HARDWARE = ["--threads", "1", "--device", "cpu", "--quiet"]


def stages(root: Path, config: Path) -> dict[str, float]:
    """Kind -> seconds of the slowest such stage."""
    warm_up([["run", str(config), str(root / "warm"), *HARDWARE]])
    start([(["run", str(config), str(root / "run"), *HARDWARE], None)])
    each: dict[str, float] = {}
    for address, spent in seconds(root / "run" / "ledger.jsonl").items():
        name = address.rpartition("/")[2]
        each[name] = max(each.get(name, 0.0), round(spent, 2))
    return each


def checkpoint(folder: Path) -> dict[str, float]:
    """Of a ResNet-50 that has made a step."""
    import timm
    import torch

    from stages.train.checkpoint import WholeFiles

    network = timm.create_model("resnet50")
    weights = network.state_dict()
    moments = {name: [torch.zeros_like(p), torch.zeros_like(p)] for name, p in network.named_parameters()}
    content = {"weights": weights, "average": {k: v.clone() for k, v in weights.items()}, "moments": moments}
    took = []
    for step in range(3):
        began = time.process_time()
        WholeFiles().save_checkpoint(content, folder / f"step-{step:09d}.ckpt")
        took.append(time.process_time() - began)
    gradients = [torch.zeros_like(p) for p in network.parameters()]
    began = time.process_time()
    for _ in range(20):
        float(torch.nn.utils.get_total_norm(gradients))
    norm_ms = (time.process_time() - began) / 20 * 1e3
    size = (folder / "step-000000002.ckpt").stat().st_size
    return {
        "MB": round(size / 1e6),
        "processor, s": round(statistics.median(took), 2),
        "gradient check, ms": round(norm_ms, 1),
    }


def command(words: list[str], fault: str = "") -> dict[str, float]:
    """Seconds by the clock, and of the processor, of one command in a process of its own."""
    env = os.environ | ({"CHAIN_FAULT": fault} if fault else {})
    began, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, ROOT / "run_chain.py", *words], env=env, capture_output=True, check=False)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"clock": round(time.perf_counter() - began, 2), "processor": round(cpu, 2)}


def main() -> int:
    with tempfile.TemporaryDirectory(dir=ROOT / "runs") as folder:
        root = Path(folder)
        config = root / "tiny.yaml"
        config.write_text(f"rounds: 1\n{CONFIG}")
        cold = root / "cold"
        command(["run", str(config), str(cold), *HARDWARE], "train.step@3@kill")
        found = {
            "resume to the first step, s": command(["resume", str(cold), *HARDWARE], "train.step@1@kill"),
            "status, s": min((command(["status", str(cold)]) for _ in range(5)), key=lambda took: took["clock"]),
            "stages, s": stages(root, config),
            "checkpoint of a ResNet-50": checkpoint(root),
        }
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
