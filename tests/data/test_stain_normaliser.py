"""Stain normalisation of a store: fitted on training slides, a slide by its own patches, white left alone."""

from pathlib import Path

import numpy as np
import pytest

from data.augment.macenko import fit, stained_pixels
from data.errors import ChainError, ExitCode
from data.images import Images
from data.patches.record import Record
from data.stain_normaliser import find_stains, load_normaliser
from data.store.patch_store import PatchStore
from data.store.writer import writing_store
from tests.dyed import EOSIN, HAEMATOXYLIN, dyed

SIZE = 48
WHITE = np.full((SIZE, SIZE, 3), 244, np.uint8)
Patches = list[tuple[str, np.ndarray]]


def build(path: Path, patches: Patches, mode: str = "rgb8") -> PatchStore:
    """A store of (slide, pixels) with the ids 1, 2, 3, ..."""
    with writing_store(path, mode, SIZE) as writer:  # type: ignore[arg-type]
        for i, (slide, pixels) in enumerate(patches):
            writer.add(i + 1, Record(f"{i}", slide=slide), "main", "split", (i, i), pixels)
        writer.classes = ("a", "b")
    return PatchStore(path)


def slides(n: int = 4, each: int = 3) -> Patches:
    """Slides s0, s1, ..., each of another laboratory."""
    found = []
    for slide in range(n):
        rng = np.random.default_rng(slide)
        first, second = HAEMATOXYLIN + rng.normal(0, 0.06, 3), EOSIN + rng.normal(0, 0.06, 3)
        strength = rng.uniform(0.6, 1.3)
        found += [(f"s{slide}", dyed(first, second, strength, 100 * slide + i, SIZE)) for i in range(each)]
    return found


def ids(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint64)


def test_no_pixel_outside_training_changes_what_training_sees(tmp_path: Path) -> None:
    patches = slides()
    patches[5] = ("s0", patches[5][1])  # a test patch of a slide that also trains
    training = ids(*range(1, 6), 7, 8, 9)
    tests = [i for i in range(len(patches)) if i + 1 not in training]
    painted = list(patches)
    for i in tests:
        painted[i] = (patches[i][0], 255 - patches[i][1])
    first = find_stains(build(tmp_path / "one.h5", patches), training, 0)
    store = build(tmp_path / "two.h5", painted)
    second = find_stains(store, training, 0)
    assert first.target == second.target
    assert first.sources[:3] == second.sources[:3]
    assert first.sources[3] != second.sources[3]  # s3 is not in training: its own patches are all there is
    one, two = (
        Images(PatchStore(tmp_path / f"{n}.h5"), f.normaliser(store)) for n, f in (("one", first), ("two", second))
    )
    for row in training.astype(int) - 1:
        assert np.array_equal(one.image(row), two.image(row))


def test_slides_move_closer_and_the_file_gives_the_same(tmp_path: Path) -> None:
    store = build(tmp_path / "patches.h5", slides())
    found = find_stains(store, store.ids, 0)
    found.save(tmp_path)
    normaliser = load_normaliser(tmp_path, store)
    images, plain = Images(store, normaliser), Images(store)

    def spread(some: Images) -> float:
        means = [np.mean([some.image(3 * s + i) for i in range(3)], axis=(0, 1, 2)) for s in range(4)]
        return float(np.std(means, axis=0).mean())

    assert spread(images) < spread(plain) / 3
    again = found.normaliser(store)
    assert all(np.array_equal(images.image(row), again(store.pixels(row), row)) for row in range(len(store)))


def test_a_near_white_patch_is_normalised_as_its_slide_is(tmp_path: Path) -> None:
    faint = WHITE.copy()
    faint[:10, :10] = (150, 90, 160)  # too little for a fit of its own
    store = build(tmp_path / "patches.h5", [*slides(2), ("s0", faint), ("", faint), ("s9", faint), ("s9", WHITE)])
    assert fit([stained_pixels(faint)]) is None
    found = find_stains(store, store.ids[:6], 0)
    assert found.sources[2] is None
    images = Images(store, found.normaliser(store))
    matrix = found.normaliser(store).matrices[0]
    assert not np.allclose(matrix, np.eye(3), atol=0.02)
    with_its_slide, alone, faint_slide, white = (images.image(row) for row in range(6, 10))
    assert not np.array_equal(with_its_slide, faint)
    assert np.array_equal(alone, faint)  # of no known slide
    assert np.array_equal(faint_slide, faint)  # of a slide that has no stain either
    assert np.array_equal(white, WHITE)


def test_patches_of_no_slide_are_fitted_one_by_one(tmp_path: Path) -> None:
    store = build(tmp_path / "patches.h5", [("", pixels) for _, pixels in slides(6, 1)])
    found = find_stains(store, store.ids, 0)
    assert found.sources == ()
    images = Images(store, found.normaliser(store))
    tops = []
    for row in range(6):
        image = images.image(row)
        assert not np.array_equal(image, store.pixels(row))
        stains = fit([stained_pixels(image)])
        assert stains is not None
        tops.append(stains.tops)
    assert np.ptp(tops, axis=0).max() < 0.35


def test_the_place_of_a_patch_in_its_store_does_not_matter(tmp_path: Path) -> None:
    patches = slides(2)
    one = find_stains(build(tmp_path / "one.h5", patches), ids(*range(1, 7)), 0)
    with writing_store(tmp_path / "two.h5", "rgb8", SIZE) as writer:
        for i in (0, 5, 4, 3, 2, 1):
            writer.add(i + 1, Record(f"{i}", slide=patches[i][0]), "main", "split", (i, i), patches[i][1])
        writer.classes = ("a", "b")
    assert find_stains(PatchStore(tmp_path / "two.h5"), ids(*range(1, 7)), 0) == one


def test_nothing_stained_is_refused(tmp_path: Path) -> None:
    store = build(tmp_path / "patches.h5", [("s", WHITE), ("t", WHITE)])
    with pytest.raises(ChainError, match="too little stain") as refusal:
        find_stains(store, store.ids, 0)
    assert refusal.value.code == ExitCode.BAD_DATA


def test_grey_patches_have_no_stain(tmp_path: Path) -> None:
    store = build(tmp_path / "patches.h5", [("s", WHITE[:, :, :1])], "grey8")
    with pytest.raises(ChainError, match=r"splits\.stain") as refusal:
        find_stains(store, store.ids, 0)
    assert refusal.value.code == ExitCode.MISMATCH


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    store = build(tmp_path / "patches.h5", slides(1))
    assert load_normaliser(tmp_path, store) is None
    find_stains(store, store.ids, 0).save(tmp_path)
    path = tmp_path / "stain.json"
    for text in ("", "{}", path.read_text()[:-20], path.read_text().replace('"tops"', '"heads"')):
        path.write_text(text)
        with pytest.raises(ChainError, match=r"stain\.json cannot be read") as refusal:
            load_normaliser(tmp_path, store)
        assert refusal.value.code == ExitCode.DAMAGED
