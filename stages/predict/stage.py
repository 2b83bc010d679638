"""The predict stage: one pass of the teacher over pool, validation and test. Resumes from its last shard."""

import json

import numpy as np

from data.errors import ChainError, ExitCode
from data.images import Images
from data.splits import load_splits
from data.stain_normaliser import load_normaliser
from data.store import PatchStore
from stages.job import Job
from stages.networks import load_network
from stages.predict.config import PredictConfig
from stages.predict.scoring import score
from stages.predict.shards import Shards
from stages.progress import LOG, StageProgress
from stages.scores import Scores, write_scores


def run(job: Job) -> str:
    """Score every patch and write scores.h5: patch id -> log-probabilities, each id exactly once."""
    section = PredictConfig.model_validate_json(json.dumps(job.section))
    splits = load_splits(job.inputs["splits"])
    store = PatchStore(job.inputs["store"] / "patches.h5")
    network, card = load_network(job.inputs["teacher"])
    parts = {"pool": splits.pool, "validation": splits.validation.ids, "test": splits.test.ids}
    rows = np.sort(store.rows(np.concatenate(list(parts.values()))))  # read in the order of the disk
    shards = Shards(job.work / "shards", store.ids[rows], len(card.classes), section.batch_size, section.shard_batches)
    missing = shards.missing()
    batches = shards.batches(missing)
    done = len(rows) - sum(len(batch) for batch in batches)
    if done:
        LOG.info(f"{job.address}: {len(shards) - len(missing)} of {len(shards)} shards already done")
    with StageProgress(job.address, len(rows), "patches", job.work, done) as bar:

        def keep(index: np.ndarray, log_probs: np.ndarray) -> None:
            _refuse_non_finite(log_probs, job.address)
            shards.add(index, log_probs)
            bar.advance(len(index))

        score(
            network,
            card.mean,
            card.std,
            Images(store, load_normaliser(job.inputs["splits"], store)),
            rows,
            keep,
            views=section.views,
            batches=batches,
            hardware=job.hardware,
        )
    ids, log_probs = shards.merged()
    write_scores(
        job.out / "scores.h5",
        {name: Scores(wanted, log_probs[np.searchsorted(ids, wanted)]) for name, wanted in parts.items()},
    )
    views = "1 view" if section.views == 1 else f"{section.views} views averaged"
    return f"{job.address}: scored {len(ids):,} patches, {len(splits.pool):,} of them pool ({views})"


def _refuse_non_finite(log_probs: np.ndarray, address: str) -> None:
    if not np.isfinite(log_probs.max(axis=1)).all():
        raise ChainError(
            f"{address}: the teacher gives scores that are not finite",
            "its weights or its input overflowed",
            "lower lr of the training before, or use --precision 32; nothing was labelled with these scores",
            ExitCode.DIVERGED,
        )
