"""The predict stage: eval mode, no noise, every id once, the same bytes however often it was killed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.errors import ChainError, ExitCode
from data.splits.written import load_splits
from data.store.patch_store import PatchStore
from stages.networks.create import load_network
from stages.predict import stage
from stages.predict.config import PredictConfig
from stages.predict.embedding import OF_ENCODER, OF_STYLE, OF_TEACHER, read_embeddings
from stages.predict.scoring import log_probs, normalise, view
from stages.predict.shards import Shards
from stages.scores import read_scores

Order = Callable[..., Any]


def job(make_order: Order, where: Path, inputs: dict[str, Path], **keys: Any) -> Any:
    section = PredictConfig.model_validate({"batch_size": 16, "shard_batches": 2} | keys)
    return make_order("predict", "rounds/00/predict", where, section.model_dump(mode="json"), inputs)


def test_scores_are_what_the_network_says_of_the_clean_patch(
    patches: dict[str, Path], teacher: Path, labelled_pool: dict[str, Path]
) -> None:
    network, card = load_network(teacher)
    store = PatchStore(patches["store"] / "patches.h5")
    splits = load_splits(patches["splits"])
    scores = read_scores(labelled_pool["predict"] / "scores.h5", "pool")
    assert np.array_equal(scores.ids, splits.pool)
    for at in (0, 7, len(scores.ids) - 1):
        pixels = store.pixels(int(store.rows(scores.ids[at : at + 1])[0]))
        image = (torch.from_numpy(pixels).permute(2, 0, 1).float() / 255)[None]
        image = (image - torch.tensor(card.mean).view(3, 1, 1)) / torch.tensor(card.std).view(3, 1, 1)
        with torch.inference_mode():
            alone = network(image).log_softmax(1)[0].numpy()
        assert np.allclose(alone, scores.log_probs[at], atol=5e-3, rtol=5e-3)


def test_validation_and_test_are_scored_too(patches: dict[str, Path], labelled_pool: dict[str, Path]) -> None:
    splits = load_splits(patches["splits"])
    for part, given in (("validation", splits.validation), ("test", splits.test)):
        scores = read_scores(labelled_pool["predict"] / "scores.h5", part)
        assert np.array_equal(scores.ids, given.ids)
        assert np.allclose(scores.probs().sum(1), 1, atol=1e-5)


def test_a_killed_labelling_ends_with_the_same_bytes(
    make_order: Order,
    tmp_path: Path,
    patches: dict[str, Path],
    teacher: Path,
    labelled_pool: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again = job(make_order, tmp_path, {**patches, "teacher": teacher})
    write, written = Shards._write, []

    def dying(self: Shards, shard: int, scores: np.ndarray) -> None:
        if len(written) == 2:
            raise KeyError("killed")
        write(self, shard, scores)
        written.append(shard)

    with monkeypatch.context() as patched:
        patched.setattr(Shards, "_write", dying)
        with pytest.raises(KeyError):
            stage.run(again)
    redone: list[int] = []
    monkeypatch.setattr(Shards, "_write", lambda self, shard, s: (redone.append(shard), write(self, shard, s))[1])
    stage.run(again)
    assert not set(redone) & set(written)
    assert (again.out / "scores.h5").read_bytes() == (labelled_pool["predict"] / "scores.h5").read_bytes()


def test_views_are_symmetries_and_their_probabilities_are_averaged() -> None:
    image = torch.rand(2, 3, 8, 8)
    seen = {view(image, number).numpy().tobytes() for number in range(8)}
    assert len(seen) == 8
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4))
    probs = torch.stack([network(view(image, number)).softmax(1) for number in (0, 2, 4, 6)]).mean(0)
    assert torch.allclose(log_probs(network, image, 4).exp(), probs, atol=1e-6)


def test_sixteen_bit_and_eight_bit_patches_reach_the_network_in_the_same_range() -> None:
    mean, std = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    eight = normalise(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8), mean, std)
    sixteen = normalise(torch.ones(1, 1, 2, 2), mean, std)
    assert torch.equal(eight, sixteen)


def test_embeddings_are_what_the_classifier_reads_and_the_encoder_never_learns(
    make_order: Order, tmp_path: Path, patches: dict[str, Path], teacher: Path, labelled_pool: dict[str, Path]
) -> None:
    inputs = {**patches, "teacher": teacher}
    encoder = {"backbone": "test_resnet", "init": {"kind": "random"}, "style": True}
    one = job(make_order, tmp_path, inputs, embeddings=True, encoder=encoder)
    stage.run(one)
    network, _ = load_network(teacher)
    splits = load_splits(patches["splits"])
    seen = read_embeddings(one.out / OF_TEACHER)
    wanted = [splits.labelled.ids, splits.pool, splits.validation.ids, splits.test.ids]
    assert np.array_equal(seen.ids, np.sort(np.concatenate(wanted)))
    for name in (OF_ENCODER, OF_STYLE):
        assert np.array_equal(read_embeddings(one.out / name).ids, seen.ids)
    plain = read_scores(labelled_pool["predict"] / "scores.h5", "pool")
    head: Any = network.get_submodule(network.pretrained_cfg["classifier"])  # type: ignore[index, arg-type, union-attr]
    with torch.inference_mode():
        said = head(torch.from_numpy(seen.of(splits.pool))).log_softmax(1).numpy()
    assert np.allclose(said, plain.log_probs, atol=0.02, rtol=0.02)
    assert np.allclose(read_scores(one.out / "scores.h5", "pool").log_probs, plain.log_probs, atol=2e-3, rtol=2e-3)

    again = job(make_order, tmp_path / "again", inputs, embeddings=True, encoder=encoder)
    stage.run(again)
    for name in (OF_TEACHER, OF_ENCODER, OF_STYLE, "scores.h5"):
        assert (again.out / name).read_bytes() == (one.out / name).read_bytes()


@pytest.mark.parametrize(("value", "good"), [(-65_504.0, True), (1e5, False), (np.nan, False), (-np.inf, False)])
def test_what_sixteen_bits_cannot_hold_is_refused_before_it_is_written(value: float, good: bool) -> None:
    values = np.array([[0.5, value], [0.1, 0.2]], np.float32)
    if good:
        assert stage._finite(values, "rounds/00/predict").dtype == np.float16
        return
    with pytest.raises(ChainError, match="not finite") as caught:
        stage._finite(values, "rounds/00/predict")
    assert caught.value.code == ExitCode.DIVERGED
