"""The stage `ingest`: sources in, patch store out."""

import dataclasses
import json
import logging
import time

from data.config import DataConfig
from data.files.atomic import write_json
from data.ingest import ingest
from stages.job import Job
from stages.process.progress import StageProgress

LOG = logging.getLogger("patchchain")


def run(job: Job) -> str:
    """Write patches.h5, quarantine.csv, sources.json and store.json into `job.out`.

    Over the quarantine limit only the table is left, beside `job.out`, whence it is moved to the run directory.
    """
    config = DataConfig.model_validate_json(json.dumps(job.section))
    aside = job.out.parent / "quarantine.csv"
    started = time.monotonic()
    with StageProgress(job.address, 0, "patches", job.work) as bar:
        result = ingest(config, job.out / "patches.h5", aside, bar.at, "quarantine.csv in the run directory")
    aside.replace(job.out / "quarantine.csv")
    for warning in result.warnings:
        LOG.warning(warning)
    write_json(job.out / "sources.json", {name: dataclasses.asdict(c) for name, c in result.sources.items()})
    n, lost = len(result.table), len(result.quarantined)
    store = {"n": n, "mode": config.mode, "size_px": config.size_px, "classes": list(result.classes)}
    write_json(job.out / "store.json", store)
    rate = f"{(n + lost) / max(1e-9, time.monotonic() - started):,.0f} patches/s"
    quarantine = f"{lost:,} in quarantine.csv" if lost else "none in quarantine"
    made_of = config.network_input().shown
    return f"{n:,} patches of {config.size_px} px ({made_of}), {len(result.classes)} classes, {quarantine}; {rate}"
