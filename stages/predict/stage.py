"""The predict stage: one pass of the teacher over pool, validation and test. Resumes by shard.

Ranks say nothing to each other while they label: each writes the shards that are its own by their number, and the
first one, when all are there, merges them.
"""

import json

import numpy as np
from safetensors.torch import load_file

from data import fault
from data.errors import ChainError, ExitCode
from data.images import Images
from data.keys import seed_of
from data.splits import load_splits
from data.stain_normaliser import load_normaliser
from data.store import PatchStore
from stages import signals
from stages.distributed import is_first, rank, world_size
from stages.job import Job
from stages.networks import load_network, network_of
from stages.predict.config import PredictConfig
from stages.predict.mc_dropout import rebuilt, refuse_unmoved
from stages.predict.scoring import Asked, score
from stages.predict.shards import Shards
from stages.progress import LOG, StageProgress
from stages.scores import Scores, write_scores
from stages.snapshots import snapshots_of


def run(job: Job) -> str:
    """Score every patch and write scores.h5: patch id -> log-probabilities, each id exactly once.

    Beside them the deviation over MC-dropout passes, where these are asked for, and what earlier states of the
    teacher say, where it has any.
    """
    section = PredictConfig.model_validate_json(json.dumps(job.section))
    splits = load_splits(job.inputs["splits"])
    store = PatchStore(job.inputs["store"] / "patches.h5")
    network, card = load_network(job.inputs["teacher"])
    network = rebuilt(network, card, section)
    if section.mc_passes:
        refuse_unmoved(network, len(card.mean), card.size_px, card.shown)
    earlier = [network_of(card).eval() for _ in snapshots_of(job.inputs["teacher"])]
    for one, path in zip(earlier, snapshots_of(job.inputs["teacher"]), strict=True):
        one.load_state_dict(load_file(path), strict=True)
    asked = Asked(section.views, section.mc_passes, seed_of(job.seed, job.address), tuple(earlier))
    parts = {"pool": splits.pool, "validation": splits.validation.ids, "test": splits.test.ids}
    rows = np.sort(store.rows(np.concatenate(list(parts.values()))))  # read in the order of the disk
    columns = asked.columns(len(card.classes))
    shards = Shards(job.work / "shards", store.ids[rows], columns, section.batch_size, section.shard_batches)
    missing = shards.missing()
    own = [shard for shard in missing if shard % world_size() == rank()]
    batches = shards.batches(own)
    left, left_own = (sum(map(len, found)) for found in (shards.batches(missing), batches))
    if left < len(rows):
        LOG.info(f"{job.address}: labelling: {len(shards) - len(missing)}/{len(shards)} shards already done")
    with StageProgress(job.address, len(rows), "patches", job.work if is_first() else None, len(rows) - left) as bar:

        def keep(index: np.ndarray, found: dict[str, np.ndarray]) -> None:
            if fault.poisoned("predict.scores"):
                found["log_probs"][:] = np.nan
            for values in found.values():
                _refuse_non_finite(values, job.address)
            if shards.add(index, found) and signals.asked():
                raise signals.Ended(signals.code(), "saved after a shard")
            bar.advance(len(index) * left / left_own)  # the other ranks are taken to be as fast

        score(
            network,
            card.mean,
            card.std,
            Images(store, load_normaliser(job.inputs["splits"], store)),
            rows,
            keep,
            asked=asked,
            batches=batches,
            hardware=job.hardware,
            name=job.address,
            sink_asks=True,
        )
    if not is_first():
        return ""
    shards.wait(missing)
    fault.point("predict.scored")
    ids, merged = shards.merged()
    write_scores(
        job.out / "scores.h5",
        {name: _part(wanted, ids, merged) for name, wanted in parts.items()},
    )
    views = "1 view" if section.views == 1 else f"{section.views} views averaged"
    if section.mc_passes:
        views += f", {section.mc_passes} passes with dropout"
    if earlier:
        views += f", {len(earlier)} earlier states"
    return f"{job.address}: scored {len(ids):,} patches, {len(splits.pool):,} of them pool ({views})"


def _part(wanted: np.ndarray, ids: np.ndarray, merged: dict[str, np.ndarray]) -> Scores:
    rows = np.searchsorted(ids, wanted)
    found = {name: values[rows] for name, values in merged.items()}
    if "opinions" in found:
        found["opinions"] = np.ascontiguousarray(np.moveaxis(found["opinions"], 1, 0))
    return Scores(wanted, **found)


def _refuse_non_finite(values: np.ndarray, address: str) -> None:
    # a log-probability may be -inf, the largest of a patch may not
    if not np.isfinite(values.max(axis=-1)).all():
        raise ChainError(
            f"{address}: the teacher gives scores that are not finite",
            "its weights or its input overflowed",
            "lower lr of the training before, or use --precision 32; nothing was labelled with these scores",
            ExitCode.DIVERGED,
        )
