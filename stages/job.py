"""What a stage is given: its section of the configuration, its inputs, and where to write."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.files.atomic import write_json


@dataclass(frozen=True)
class Hardware:
    """How to run, not what to compute: outside every recipe, recorded in the ledger."""

    device: str = "auto"  # auto | cpu | cuda
    precision: str = "32"  # 32 | bf16
    workers: int = 0  # loader processes
    threads: int = 0  # CPU threads of torch; 0: as torch finds them
    loggers: tuple[str, ...] = ()  # beside CSV and TensorBoard: wandb, mlflow
    devices: int = 1  # processes on each machine, one a device
    nodes: int = 1  # machines
    strategy: str = "ddp"  # ddp | fsdp
    accumulate: int = 1  # pieces of a step whose gradients are added, where a whole one does not fit; 0: as few as fit
    hang_timeout_s: float = 1800.0  # a process that comes no further for so long has hung
    noise_on: str = "loader"  # loader | device: where the pixels of training patches are disturbed


@dataclass(frozen=True)
class Job:
    """One stage's work order. A plain value that travels as JSON to other processes.

    `inputs`: role -> directory of a finished step. `out` is published when the stage is done;
    `work` holds checkpoints and shards until then; `log` is a directory for people, never read back.
    """

    address: str
    kind: str
    round: int
    seed: int
    section: dict[str, Any]
    inputs: dict[str, Path]
    out: Path
    work: Path
    log: Path
    hardware: Hardware = Hardware()

    def save(self, path: Path) -> None:
        """Write the order for another process."""
        plain = dataclasses.asdict(self)
        plain["inputs"] = {role: str(where) for role, where in self.inputs.items()}
        plain |= {name: str(plain[name]) for name in ("out", "work", "log")}
        write_json(path, plain)

    @staticmethod
    def load(path: Path) -> "Job":
        """Read an order written by `save`."""
        plain = json.loads(path.read_text())
        plain["inputs"] = {role: Path(where) for role, where in plain["inputs"].items()}
        plain |= {name: Path(plain[name]) for name in ("out", "work", "log")}
        flags = plain["hardware"]
        plain["hardware"] = Hardware(**{**flags, "loggers": tuple(flags["loggers"])})
        return Job(**plain)
