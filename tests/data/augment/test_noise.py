"""Noise: spelled out, keyed by seed, and gentle enough to keep the label."""

import pickle

import numpy as np
import pytest

from data.augment.noise import PRESETS, Noise, felt
from data.augment.pipeline import NoiseDrawer
from data.images import drawer
from data.pixels.modes import Mode
from data.pixels.network_input import NetworkInput


@pytest.fixture
def patch() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


def test_a_fixed_seed_repeats_and_another_differs(patch: np.ndarray) -> None:
    strong = NoiseDrawer(Noise(**PRESETS["strong"]), 3)
    assert np.array_equal(strong(patch, 1), strong(patch, 1))
    assert not np.array_equal(strong(patch, 1), strong(patch, 2))


def test_draws_do_not_depend_on_what_was_drawn_before(patch: np.ndarray) -> None:
    strong = NoiseDrawer(Noise(**PRESETS["strong"]), 3)
    alone = strong(patch, 7)
    for seed in range(5):
        strong(patch, seed)
    assert np.array_equal(strong(patch, 7), alone)


def test_a_pickled_drawer_in_another_process_draws_the_same(patch: np.ndarray) -> None:
    strong = NoiseDrawer(Noise(**PRESETS["strong"]), 3)
    before = strong(patch, 3)
    assert np.array_equal(pickle.loads(pickle.dumps(strong))(patch, 3), before)


def test_no_noise_is_the_patch_itself(patch: np.ndarray) -> None:
    assert NoiseDrawer(Noise(), 3)(patch, 1) is patch


def test_flips_and_turns_only_move_pixels(patch: np.ndarray) -> None:
    moving = NoiseDrawer(Noise(flips=True, quarter_turns=True), 3)
    for seed in range(8):
        drawn = moving(patch, seed)
        assert np.array_equal(np.sort(drawn.reshape(-1, 3), axis=0), np.sort(patch.reshape(-1, 3), axis=0))


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 3), (np.uint8, 1), (np.float32, 1)])
def test_every_operation_takes_every_kind_of_patch(dtype: type, channels: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((27, 27, channels)).astype(np.float32)
    patch = (image * 255).astype(np.uint8) if dtype is np.uint8 else image
    everything = Noise(**(PRESETS["strong"] | {"blur": 1.0, "grain": 1.0, "jpeg": 1.0, "crop": 0.3}))
    for seed in range(12):
        drawn = NoiseDrawer(everything, channels)(patch, seed)
        assert drawn.shape == patch.shape
        assert drawn.dtype == patch.dtype
        assert np.isfinite(drawn).all()
        assert drawn.max() <= (255 if dtype is np.uint8 else 1)


def test_presets_are_spelled_out_in_the_configuration() -> None:
    from stages.train.config import TeacherConfig

    resolved = TeacherConfig.model_validate_json('{"noise": "strong"}')
    assert resolved.noise == Noise(**PRESETS["strong"])
    assert TeacherConfig.model_validate_json(resolved.model_dump_json()) == resolved
    with pytest.raises(ValueError, match="none, weak, strong"):
        TeacherConfig.model_validate_json('{"noise": "wild"}')


def test_a_crop_shows_a_part_of_the_patch_enlarged() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], (64, 64, 3)).copy()
    drawn = [NoiseDrawer(Noise(crop=0.5), 3)(ramp, seed).astype(int) for seed in range(40)]
    assert all(one.shape == (64, 64, 3) for one in drawn)
    spans = [np.ptp(one) for one in drawn]
    assert min(spans) >= 255 * 0.45  # no more than half a side is cut off
    assert min(spans) < 255 * 0.6
    assert np.median([one[32, 60, 0] - one[32, 3, 0] for one in drawn]) > 0  # nothing is mirrored


def test_a_patch_is_moved_to_either_side_alike_and_never_further_than_stated(patch: np.ndarray) -> None:
    """No side is favoured: a network would learn it."""
    drawer = NoiseDrawer(Noise(rotate_deg=20.0, scale=0.2, shift=0.1), 3)
    matrices = [one.params["matrix"] for seed in range(600) for one in drawer.begun(patch, seed)[1]]
    assert len(matrices) == pytest.approx(0.8 * 600, abs=50)
    (a, _, _), (c, _, _) = np.moveaxis(np.array(matrices), 0, 2)
    centre = (32 - 1) / 2
    moved = np.array([matrix @ (centre, centre, 1) - centre for matrix in matrices])
    sides = ((20.0, np.rad2deg(np.arctan2(-c, a))), (0.2, np.hypot(a, c) - 1), (3.2, moved[:, 0]), (3.2, moved[:, 1]))
    for most, found in sides:
        assert abs(found).max() < 1.001 * most
        assert found.min() < -0.8 * most
        assert found.max() > 0.8 * most
        assert abs(found.mean()) < 0.1 * most


def test_a_hole_has_sides_between_half_of_what_is_stated_and_all_of_it_and_lies_anywhere(patch: np.ndarray) -> None:
    drawer = NoiseDrawer(Noise(cutout=0.5), 3)
    holes = [one.params["hole"] for seed in range(600) for one in drawer.begun(patch, seed)[1]]
    assert len(holes) == pytest.approx(0.8 * 600, abs=50)
    for spans in zip(*holes, strict=True):
        assert {span.stop - span.start for span in spans} == set(range(8, 16))
        assert min(span.start for span in spans) == 0
        assert max(span.stop for span in spans) == 32


ALL_ON = PRESETS["strong"] | {"blur": 1.0, "grain": 1.0, "jpeg": 1.0, "crop": 0.2}


def test_a_choice_is_so_many_of_what_is_on_and_every_pair_comes_up() -> None:
    noise = Noise(**(ALL_ON | {"choose": 2}))
    rng = np.random.default_rng(0)
    drawn = [noise.chosen(rng) for _ in range(2000)]
    counts: dict[tuple[str, ...], int] = {}
    for one in drawn:
        counts[one.choices] = counts.get(one.choices, 0) + 1
        assert one.flips
        assert one.quarter_turns
        for name in one.choices:  # with the magnitude that was stated
            assert getattr(one, name) == getattr(noise, name)
    pairs = len(noise.choices) * (len(noise.choices) - 1) // 2
    assert len(counts) == pairs
    assert {len(pair) for pair in counts} == {2}
    assert max(counts.values()) < 3 * min(counts.values())


def test_one_of_two_operations_leaves_the_other_out() -> None:
    flat = np.full((32, 32, 3), 100, np.uint8)
    drawer = NoiseDrawer(Noise(brightness=0.5, cutout=0.5, choose=1), 3)
    brighter, holed = 0, 0
    for seed in range(60):
        drawn = drawer(flat, seed)
        values = np.unique(drawn)
        assert len(values) == 1 or set(values.tolist()) == {100, 127}, "both at once"
        brighter += len(values) == 1 and values[0] != 100
        holed += len(values) == 2
    assert brighter > 10
    assert holed > 10


@pytest.mark.parametrize("mode", ["rgb8", "grey8", "grey16"])
def test_what_a_kind_of_patch_does_not_feel_is_never_chosen(mode: Mode) -> None:
    kind = NetworkInput(mode, 32)
    noise = Noise(stain=0.3, brightness=0.3, grain=1.0, jpeg=1.0, choose=1)
    image = np.random.default_rng(0).integers(50, 200, (32, 32, kind.channels), np.uint8)
    image = image if mode != "grey16" else (image / 255).astype(np.float32)
    draw = drawer(noise, kind)
    same = sum(np.array_equal(draw(image, seed), image) for seed in range(200))
    # light alone is drawn with a chance of 0.8
    choices = {"rgb8": 4, "grey8": 3, "grey16": 2}[mode]
    assert same == pytest.approx(200 * 0.2 / choices, abs=12)


def test_where_no_more_is_felt_than_is_to_be_chosen_all_of_it_is_drawn() -> None:
    noise = Noise(stain=0.3, brightness=0.3, jpeg=0.5, choose=2)
    assert felt(noise, "rgb8") is noise
    assert felt(noise, "grey8") == Noise(brightness=0.3, jpeg=0.5)
    assert felt(noise, "grey16") == Noise(brightness=0.3)


def test_a_choice_is_drawn_by_seed_alone_in_every_process(patch: np.ndarray) -> None:
    noise = Noise(**(ALL_ON | {"choose": 2}))
    first, second = NoiseDrawer(noise, 3), NoiseDrawer(noise, 3)
    alone = [first(patch, seed) for seed in range(20)]
    backwards = [second(patch, seed) for seed in reversed(range(20))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(alone, backwards, strict=True))
    assert all(np.array_equal(pickle.loads(pickle.dumps(first))(patch, s), alone[s]) for s in range(5))


def test_stain_may_be_all_that_was_chosen(patch: np.ndarray) -> None:
    drawer = NoiseDrawer(Noise(stain=0.3, blur=1.0, choose=1), 3)
    assert all(drawer(patch, seed).shape == patch.shape for seed in range(10))


@pytest.mark.parametrize("keys", [{"choose": 1}, {"choose": 2, "blur": 0.1, "cutout": 0.3, "flips": True}])
def test_a_choice_needs_more_to_choose_from(keys: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="leaves nothing to choose"):
        Noise.model_validate(keys)


def test_a_choice_of_none_is_what_it_was(patch: np.ndarray) -> None:
    noise = Noise(**PRESETS["strong"])
    assert noise.chosen(np.random.default_rng(0)) is noise
