"""A launcher whose stages write small files in no time.

They suffice for the tests of `pipeline/`: it never looks into a file but stop.json, so what counts is that each
output is a function of the section, the seed and the bytes of the inputs, and that unfinished work can be gone on with.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data.files.atomic import canonical_json, write_bytes, write_json
from data.files.atomic import sha256_file as digest
from pipeline.config.chain import ChainConfig
from pipeline.config.reading import load_config
from pipeline.directory.layout import Layout
from pipeline.session import Session
from stages.job import Hardware, Job
from stages.process.signals import Watch

CONFIG = """
seed: 0
rounds: 1
data:
  size_px: 24
  sources: [{kind: synthetic}]
select: {rule: threshold, tau: 0.8}
"""


class FakeLauncher:
    """`stops`: address -> reason. `before`: called with each job, to misbehave. `launched`: addresses, in order."""

    def __init__(self, stops: dict[str, str] | None = None, before: Callable[[Job], None] = lambda job: None) -> None:
        self.stops, self.before, self.launched = stops or {}, before, []

    def launch(self, job: Job, lock_fd: int) -> str:
        self.launched.append(job.address)
        assert not list(job.out.iterdir()), "a stage begins with an empty out"
        inputs = {
            role: digest(where / ("labels.parquet" if role.startswith("review_") else "result.json"))
            for role, where in job.inputs.items()
        }
        result = {"section": job.section, "seed": job.seed, "address": job.address, "inputs": inputs}
        for half in ("first", "second"):  # a stage in two halves, each checkpointed
            checkpoint = job.work / f"{half}.json"
            if not checkpoint.exists():
                write_json(checkpoint, {half: result})
            assert json.loads(checkpoint.read_text()) == {half: result}, "work of another recipe was gone on with"
        (job.out / "sub").mkdir()
        write_bytes(job.out / "sub" / "weights.bin", canonical_json(result) * 3)
        write_json(job.out / "result.json", result)
        if job.kind == "ingest":
            write_json(job.out / "sources.json", {})
        if job.address in self.stops:
            write_json(job.out / "stop.json", {"reason": self.stops[job.address], "detail": "as told"})
        self.before(job)
        return f"{job.address}: done"


def config_in(folder: Path, text: str = CONFIG, *overrides: str) -> ChainConfig:
    """A configuration written to `folder` and loaded."""
    path = folder / "config.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return load_config(path, overrides)


def session(root: Path, launcher: Any = None) -> Session:
    """A session on a run directory with fake stages."""
    return Session(Layout(root), launcher or FakeLauncher(), Hardware(), Watch())


def committed(root: Path) -> dict[str, str]:
    """Relative path -> digest of all that must be the same however the chain was run."""
    return {
        str(path.relative_to(root)): digest(path)
        for place in (root / "data", root / "rounds", root / "final", root / "config.yaml")
        for path in ([place] if place.is_file() else place.rglob("*"))
        if path.is_file()
    }


def everything(root: Path) -> dict[str, str]:
    """Relative path -> digest of every file; directories as such."""
    return {str(path.relative_to(root)): digest(path) if path.is_file() else "" for path in sorted(root.rglob("*"))}
