"""The predict stage: one pass of the teacher over pool, validation and test. Resumes by shard.

Ranks say nothing to each other while they label: each writes the shards that are its own by their number, and the
first one, when all are there, merges them.
"""

import json

import numpy as np
import torch
from safetensors.torch import load_file

from data import fault
from data.errors import ChainError, ExitCode
from data.files.disk import refuse_if_short
from data.images import Images
from data.keys import seed_of
from data.splits.written import Splits, load_splits
from data.stain_normaliser import load_normaliser
from data.store.patch_store import PatchStore
from stages.job import Job
from stages.networks import licences
from stages.networks.create import first_network, load_network, network_of, normalisation
from stages.networks.input_size import feed_at
from stages.networks.licences import licences_of, together
from stages.networks.snapshots import snapshots_of
from stages.predict.config import PredictConfig
from stages.predict.embedding import OF_ENCODER, OF_STYLE, OF_TEACHER, embedding_width
from stages.predict.folding import folded
from stages.predict.mc_dropout import rebuilt, refuse_unmoved
from stages.predict.merge import merge_embeddings, merge_scores
from stages.predict.scoring import Asked, score
from stages.predict.shards import Shards
from stages.predict.style import width_of
from stages.process import signals
from stages.process.distributed import is_first, rank, world_size
from stages.process.progress import LOG, StageProgress


def run(job: Job) -> str:
    """Score every patch and write scores.h5: patch id -> log-probabilities, each id exactly once.

    Beside them the deviation over MC-dropout passes, where these are asked for, and what earlier states of the
    teacher say, where it has any. With `predict.embeddings` also embeddings.h5, and in the first round with
    `predict.encoder` encoder.h5 and style.h5: of the labelled patches too, since it is from them that labels are
    propagated. licences.json says whose weights spoke.
    """
    section = PredictConfig.model_validate_json(json.dumps(job.section))
    splits = load_splits(job.inputs["splits"])
    store = PatchStore(job.inputs["store"] / "patches.h5")
    images = Images(store, load_normaliser(job.inputs["splits"], store))
    network, card = load_network(job.inputs["teacher"])
    network = rebuilt(network, card, section)
    if section.mc_passes:
        refuse_unmoved(network, len(card.mean), card.size_px, card.shown)
    earlier = [network_of(card).eval() for _ in snapshots_of(job.inputs["teacher"])]
    for one, path in zip(earlier, snapshots_of(job.inputs["teacher"]), strict=True):
        one.load_state_dict(load_file(path), strict=True)
    width = embedding_width(network) if section.embeddings else 0
    states = tuple(folded(one) for one in earlier)
    asked = Asked(section.views, section.mc_passes, seed_of(job.seed, job.address), states, width)
    parts = {"pool": splits.pool, "validation": splits.validation.ids, "test": splits.test.ids}
    among = {**parts, "labelled": splits.labelled.ids}
    wanted = np.concatenate(list((among if section.embeddings else parts).values()))
    shards = _each(job, section, "shards", (folded(network), card.mean, card.std), images, wanted, asked)
    if section.encoder is not None and job.round == 0:
        _embed(job, section, images, splits, np.concatenate(list(among.values())))
    if shards is None:
        return ""
    fault.point("predict.scored")
    if width:
        merge_embeddings(job.out / OF_TEACHER, shards, "embeddings")
    merge_scores(job.out / "scores.h5", shards, parts)
    own = section.encoder
    licences.save(together(card.licences, licences_of(own.backbone, own.init) if own else []), job.out)
    views = "1 view" if section.views == 1 else f"{section.views} views averaged"
    if section.mc_passes:
        views += f", {section.mc_passes} passes with dropout"
    if earlier:
        views += f", {len(earlier)} earlier states"
    return f"{job.address}: scored {len(wanted):,} patches, {len(splits.pool):,} of them pool ({views})"


def _embed(job: Job, section: PredictConfig, images: Images, splits: Splits, wanted: np.ndarray) -> None:
    """Write encoder.h5: what the frozen encoder sees in the patches `wanted`; with `style` also what it sees before."""
    own = section.encoder
    assert own is not None
    as_section = own.as_trained()
    # where `init` draws, every round and every attempt must get the same
    torch.manual_seed(seed_of(job.seed, "encoder"))
    network = first_network(as_section, len(splits.classes), own.input_of(images.kind), "predict.encoder").eval()
    feed_at(network, own.size_px)
    mean, std = normalisation(as_section, images.kind, (list(splits.mean), list(splits.std)))
    asked = Asked(1, embeddings=embedding_width(network), style=width_of(network) if own.style else 0)
    shards = _each(job, section, "encoder", (network, mean, std), images, wanted, asked)
    if shards is not None:
        merge_embeddings(job.out / OF_ENCODER, shards, "embeddings")
        if own.style:
            merge_embeddings(job.out / OF_STYLE, shards, "style")


def _each(
    job: Job,
    section: PredictConfig,
    directory: str,
    network: tuple[torch.nn.Module, list[float], list[float]],
    images: Images,
    wanted: np.ndarray,
    asked: Asked,
) -> Shards | None:
    """Ask a network, with its mean and std, of the patches `wanted`: whole shards, on the first rank.

    directory: where the shards lie, below the stage's work.
    """
    store, classes = images.store, len(load_splits(job.inputs["splits"]).classes)
    rows = np.sort(store.rows(wanted))  # read in the order of the disk
    shards = Shards(
        job.work / directory, store.ids[rows], asked.columns(classes), section.batch_size, section.shard_batches
    )
    missing = shards.missing()
    row = shards.row_bytes
    refuse_if_short(job.work, (sum(map(len, shards.batches(missing))) + len(rows)) * row, f"{job.address}: its scores")
    own = [shard for shard in missing if shard % world_size() == rank()]
    batches = shards.batches(own)
    left, left_own = (sum(map(len, found)) for found in (shards.batches(missing), batches))
    if left < len(rows):
        LOG.info(f"{job.address}: labelling: {len(shards) - len(missing)}/{len(shards)} shards already done")
    with StageProgress(job.address, len(rows), "patches", job.work if is_first() else None, len(rows) - left) as bar:

        def keep(index: np.ndarray, found: dict[str, np.ndarray]) -> None:
            if fault.poisoned("predict.scores"):
                found["log_probs"][:] = np.nan
            kept = {name: _finite(values, job.address) for name, values in found.items()}
            if shards.add(index, kept) and signals.asked():
                raise signals.Ended(signals.code(), "saved after a shard")
            bar.advance(len(index) * left / left_own)  # the other ranks are taken to be as fast

        score(
            *network, images, rows, keep,
            asked=asked, batches=batches, hardware=job.hardware, name=job.address, sink_asks=True,
        )  # fmt: skip
    if not is_first():
        return None
    shards.wait(missing)
    return shards


def _finite(values: np.ndarray, address: str) -> np.ndarray:
    """As they are kept, float16. What that cannot hold would become infinite in the file, unseen: ChainError (3)."""
    with np.errstate(over="ignore"):
        kept = values.astype(np.float16)
    if not np.isfinite(kept).all():
        raise ChainError(
            f"{address}: the teacher gives scores that are not finite",
            "its weights or its input overflowed, or what it sees is beyond 65,504, which 16 bits hold",
            "lower lr of the training before, or use --precision 32; nothing was labelled with these scores",
            ExitCode.DIVERGED,
        )
    return kept
