"""Groups that stand for slides: within a class, the same each time, and found where they were planted."""

import numpy as np
from sklearn.metrics import adjusted_rand_score

from benchmarks.label_efficiency.clusters import GROUPS_A_CLASS, colours, grouped


def planted(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Histograms of patches of two classes, whose slides share a colour across the classes; slide; label."""
    rng = np.random.default_rng(seed)
    slide = rng.integers(0, GROUPS_A_CLASS, 400)
    label = np.where(rng.random(400) < 0.5, "ill", "well")
    stain = rng.integers(40, 216, (GROUPS_A_CLASS, 3))[slide][:, None, None]
    pixels = np.clip(stain + rng.normal(0, 4, (400, 8, 8, 3)), 0, 255).astype(np.uint8)
    return np.stack([colours(one) for one in pixels]), slide, label


def test_planted_slides_are_found_within_each_class_and_never_cross_it() -> None:
    histograms, slide, label = planted()
    found = grouped(histograms, label)
    assert adjusted_rand_score(slide * 2 + (label == "ill"), found) > 0.9
    assert all(len(set(label[found == group])) == 1 for group in np.unique(found))


def test_the_same_input_gives_the_same_groups_numbered_by_their_first_member() -> None:
    histograms, _, label = planted()
    found = grouped(histograms, label)
    np.testing.assert_array_equal(found, grouped(histograms.copy(), label))
    names, first = np.unique(found, return_index=True)
    assert list(names) == list(range(2 * GROUPS_A_CLASS))
    assert list(first) == sorted(first)


def test_a_class_of_few_patches_has_as_many_groups() -> None:
    histograms, _, label = planted()
    rare = np.where(np.arange(400) < 3, "rare", label)
    assert len(np.unique(grouped(histograms, rare)[:3])) == 3


def test_colours_are_shares_of_levels() -> None:
    half = np.full((4, 4, 3), 255, np.uint8)
    half[:2] = 0
    found = colours(half)
    assert found.shape == (3 * 32 + 512,)
    assert found[[0, 31, 32, 63, 64, 95]].tolist() == [0.5] * 6
    assert found[96:][[0, 511]].tolist() == [0.5, 0.5]
    assert colours(half[:, :, :1]).shape == (32 + 8,)
