"""How many patches go through a network at once changes no score but by rounding."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from benchmarks.store import drawn_store
from data.images import Images
from stages.job import Hardware
from stages.loading import in_batches
from stages.predict import scoring
from stages.predict.embedding import embedding_width
from stages.predict.folding import folded
from stages.predict.scoring import Asked, pieces, score
from stages.predict.style import width_of

COUNT, SIZE_PX, CLASSES = 75, 32, 3


@pytest.mark.parametrize("size_px", [8, 96, 224, 1024])
@pytest.mark.parametrize("count", [1, 15, 16, 100])
def test_pieces_are_the_batch_in_order_and_of_an_even_number(size_px: int, count: int) -> None:
    image = torch.arange(count).view(-1, 1, 1, 1).expand(count, 3, size_px, size_px)
    found = pieces(image)
    assert torch.equal(torch.cat(found)[:, 0, 0, 0], torch.arange(count))
    assert all(len(piece) % scoring.EVEN == 0 for piece in found[:-1])


def test_on_a_device_and_where_nothing_is_a_batch_stays_whole() -> None:
    elsewhere = torch.empty(4096, 3, 96, 96, device="meta")
    assert [len(piece) for piece in pieces(elsewhere)] == [4096]
    assert [len(piece) for piece in pieces(torch.empty(0, 3, 96, 96))] == [0]


def said(network: torch.nn.Module, images: Images, asked: Asked) -> dict[str, np.ndarray]:
    """What a sink is given, batches of 50 one after the other."""
    found: dict[str, list[np.ndarray]] = {}

    def keep(index: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        for column, part in columns.items():
            found.setdefault(column, []).append(part)

    score(
        network, [0.5] * 3, [0.2] * 3, images, np.arange(COUNT), keep,
        asked=asked, batches=in_batches(COUNT, 50), hardware=Hardware("cpu"),
    )  # fmt: skip
    assert found.keys() == asked.columns(CLASSES).keys()
    return {column: np.concatenate(parts) for column, parts in found.items()}


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return Images(drawn_store(tmp_path / "patches.h5", COUNT, SIZE_PX, jpeg=True))


def network(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return folded(timm.create_model(name, num_classes=CLASSES).eval())


@pytest.mark.parametrize("name", ["resnet10t", "tf_efficientnet_lite0"])
@pytest.mark.parametrize("style", [False, True])
def test_scores_embeddings_style_and_opinions_are_those_of_the_whole_batch_but_for_rounding(
    name: str, style: bool, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_one = network(name)
    asked = Asked(
        views=1 if style else 2,
        mc_passes=2,
        earlier=() if style else (network(name),),
        embeddings=embedding_width(asked_one),
        style=width_of(asked_one) if style else 0,
    )
    each = []
    for values in (10**9, 1):
        monkeypatch.setattr(scoring, "VALUES", values)
        each.append(said(asked_one, images, asked))
    for column, whole in each[0].items():
        np.testing.assert_allclose(each[1][column], whole, rtol=1e-4, atol=1e-5, err_msg=column)


def test_passes_with_dropout_are_no_part_of_an_embedding(images: Images) -> None:
    model = timm.create_model("test_resnet", num_classes=CLASSES, drop_rate=0.5).eval()
    plain = Asked(views=2, embeddings=embedding_width(model))
    found = said(model, images, replace(plain, mc_passes=2))
    assert float(found["deviation"].max()) > 0
    assert np.array_equal(found["embeddings"], said(model, images, plain)["embeddings"])
