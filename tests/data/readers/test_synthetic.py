"""Laws of the embedded default: patches are functions of their place, and colour alone does not give the class."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from benchmarks.synthetic_difficulty import (
    Patches,
    by_patient,
    colour_histograms,
    draw_patches,
    few_of_each,
    linear_on_colour,
    network_accuracy,
)
from data.readers.synthetic import Synthetic
from data.synthetic.tissue_names import TISSUES

# five classes: guessing scores 20 %
MOST_COLOUR_MAY_GIVE = 0.60


@pytest.fixture
def one_thread() -> Iterator[None]:
    # so small a network gains little from a second thread, and loses much where cores are shared
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def drawn() -> Patches:
    """100 patches of each of 24 patients."""
    return draw_patches(seed=0, patients=24, patches_per_patient=100)


def first(drawn: Patches, patients: int, patches_per_patient: int) -> Patches:
    """What a source of fewer patients with fewer patches draws: a patch is a function of its place."""
    index = np.concatenate([np.arange(count) for count in np.bincount(drawn.patient)])
    rows = (drawn.patient < patients) & (index < patches_per_patient)
    return Patches(drawn.pixels[rows], drawn.label[rows], drawn.patient[rows])


def test_a_patch_is_a_function_of_seed_patient_and_index() -> None:
    reader = Synthetic(seed=3, patients=3, patches_per_patient=12)
    records = list(reader.records())
    alone = {record.key: reader.content(record) for record in records}
    again = Synthetic(seed=3, patients=40, patches_per_patient=100, name="other")
    with ThreadPoolExecutor(4) as pool:
        shuffled = [records[i] for i in np.random.default_rng(0).permutation(len(records))] * 3
        for record, pixels in zip(shuffled, pool.map(again.content, shuffled), strict=True):
            np.testing.assert_array_equal(pixels, alone[record.key])


def test_the_records_of_fewer_patients_are_the_first_records_of_more() -> None:
    few = list(Synthetic(patients=3, patches_per_patient=7).records())
    assert few == list(Synthetic(patients=120, patches_per_patient=7).records())[:21]


def test_another_seed_draws_every_patch_anew() -> None:
    one, other = (Synthetic(seed=seed, patients=2, patches_per_patient=10) for seed in (0, 1))
    for record in one.records():
        assert not np.array_equal(one.content(record), other.content(record))


def test_every_slide_of_every_patient_holds_every_class_and_no_split() -> None:
    records = list(Synthetic(patients=4, patches_per_patient=30).records())
    assert len({record.key for record in records}) == len(records) == 120
    assert records[42].key == "p01/0012"
    assert {record.split for record in records} == {""}
    assert {record.patient for record in records} == {"p00", "p01", "p02", "p03"}
    counts = Counter((record.slide, record.label) for record in records)
    assert set(counts) == {(f"p{p:02d}-s{s}", tissue) for p in range(4) for s in (1, 2) for tissue in TISSUES}
    assert set(counts.values()) == {3}


@pytest.mark.parametrize("size_px", [16, 48, 97])
def test_patches_are_rgb_of_the_size_asked_for(size_px: int) -> None:
    reader = Synthetic(patients=1, patches_per_patient=10, size_px=size_px)
    for record in reader.records():
        pixels = reader.content(record)
        assert pixels.shape == (size_px, size_px, 3)
        assert pixels.dtype == np.uint8


def test_the_size_sets_the_resolution_and_not_the_scene() -> None:
    coarse, fine = (Synthetic(patients=2, patches_per_patient=10, size_px=size) for size in (48, 96))
    for record in coarse.records():
        shrunk = fine.content(record).reshape(48, 2, 48, 2, 3).mean(axis=(1, 3))
        likeness = np.corrcoef(shrunk.ravel(), coarse.content(record).ravel())[0, 1]
        assert likeness > 0.75, record.key


def test_chosen_classes_are_the_only_ones() -> None:
    reader = Synthetic(patients=1, patches_per_patient=6, classes=["stroma", "tumour"])
    assert [record.label for record in reader.records()] == ["stroma", "tumour"] * 3


@pytest.mark.parametrize(
    "wrong",
    [{"classes": ["stroma", "stroma"]}, {"classes": ["stroma"]}, {"classes": ["bone", "stroma"]}, {"patients": 0}],
)
def test_impossible_requests_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Synthetic.model_validate(wrong)


def test_stain_differs_between_patients_more_than_within_them() -> None:
    reader = Synthetic(patients=12, patches_per_patient=20)
    colour = np.array([reader.content(record).mean(axis=(0, 1)) for record in reader.records()]).reshape(12, 20, 3)
    between = colour.mean(axis=1).var(axis=0, ddof=1)
    within = colour.var(axis=1, ddof=1).mean(axis=0)
    # were all patients stained alike, their means would differ by no more than within / 20
    assert (between > 0.5 * within).all(), (between, within)
    classes = np.array([colour[:, i::5].mean(axis=(0, 1)) for i in range(5)])
    assert (between > classes.var(axis=0, ddof=1)).all(), "the patient must say more of the colour than the tissue"


def test_colour_alone_says_little_of_the_class(drawn: Patches) -> None:
    patches = first(drawn, patients=20, patches_per_patient=80)
    train, test = by_patient(patches, test_patients=7)
    score = linear_on_colour(colour_histograms(patches.pixels), patches.label, train, test)
    assert 0.25 < score <= MOST_COLOUR_MAY_GIVE


@pytest.mark.slow
def test_all_labels_give_a_network_far_more_than_colour_or_a_few_labels(one_thread: None, drawn: Patches) -> None:
    train, test = by_patient(drawn, test_patients=7)
    colour = linear_on_colour(colour_histograms(drawn.pixels), drawn.label, train, test)
    few = network_accuracy(drawn, few_of_each(drawn.label, train, 20, seed=0), test, steps=60)
    full = network_accuracy(drawn, np.flatnonzero(train), test, steps=150)
    assert full >= colour + 0.15, (colour, full)
    assert full >= few + 0.10, (few, full)
    assert few > 0.4, "a teacher worse than this has nothing to teach"
