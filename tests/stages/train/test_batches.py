"""Which patches a step sees is a function of seed and step, whatever happened before."""

from pathlib import Path

import numpy as np
import pytest

from data.augment.noise import PRESETS, Noise
from data.augment.pipeline import NoiseDrawer
from data.images import Images, drawer
from data.patches.record import Record
from data.pixels.windows import windows_of
from data.store.patch_store import PatchStore
from data.store.writer import writing_store
from stages.loading import loader
from stages.train.batches import Batch, Examples, Item, Steps, TrainingPatches, draw
from stages.train.share import Share


def test_every_example_is_seen_once_a_lap() -> None:
    drawn = draw(size=7, seed=3, start=0, count=21)
    for lap in range(3):
        assert sorted(drawn[7 * lap : 7 * lap + 7]) == list(range(7))


def test_a_stream_cut_anywhere_goes_on_the_same() -> None:
    whole = draw(11, 5, 0, 100)
    assert np.array_equal(np.concatenate([draw(11, 5, 0, 37), draw(11, 5, 37, 63)]), whole)


def test_laps_and_seeds_differ() -> None:
    assert not np.array_equal(draw(50, 1, 0, 50), draw(50, 1, 50, 50))
    assert not np.array_equal(draw(50, 1, 0, 50), draw(50, 2, 0, 50))


def test_resumed_steps_are_the_steps_not_yet_done() -> None:
    whole = list(Steps([5, 40], [2, 6], seed=9, start=0, stop=10))
    assert list(Steps([5, 40], [2, 6], seed=9, start=4, stop=10)) == whole[4:]
    assert [len(step) for step in whole] == [8] * 10
    assert [item.stream for item in whole[0]] == [0, 0, 1, 1, 1, 1, 1, 1]


def test_no_two_draws_of_a_stream_share_a_place() -> None:
    places = [(item.stream, item.place) for step in Steps([5, 40], [2, 6], 9, 0, 30) for item in step]
    assert len(set(places)) == len(places)


def test_streams_of_one_size_draw_each_its_own() -> None:
    (step,) = Steps([40, 40], [40, 40], seed=9, start=0, stop=1)
    labelled, pseudo = ([item.example for item in step if item.stream == stream] for stream in (0, 1))
    assert sorted(labelled) == sorted(pseudo)
    assert labelled != pseudo


def test_noise_differs_from_lap_to_lap_and_repeats_at_the_same_place(patches: dict[str, Path]) -> None:
    store = PatchStore(patches["store"] / "patches.h5")
    ids = np.sort(store.ids[:3])
    stream = Examples(ids, np.eye(3, dtype=np.float32), np.ones(3, np.float32))
    drawn = TrainingPatches(Images(store), [stream, stream], NoiseDrawer(Noise(**PRESETS["strong"]), 3), seed=1)
    first = drawn.image(Item(0, 1, 1))
    assert np.array_equal(first, drawn.image(Item(0, 1, 1)))
    assert not np.array_equal(first, drawn.image(Item(0, 1, 4)))  # the same patch, a lap later
    assert not np.array_equal(first, drawn.image(Item(1, 1, 1)))  # the same patch in the other stream
    other = TrainingPatches(Images(store), [stream], NoiseDrawer(Noise(**PRESETS["strong"]), 3), seed=2)
    assert not np.array_equal(first, other.image(Item(0, 1, 1)))


def test_what_is_left_for_the_device_is_dealt_with_the_patches_among_ranks_and_pieces(patches: dict[str, Path]) -> None:
    store = PatchStore(patches["store"] / "patches.h5")
    ids = np.sort(store.ids)[:11]
    stream = Examples(ids, np.ones((11, 1), np.float32), np.ones(11, np.float32))
    strong = NoiseDrawer(Noise(**PRESETS["strong"]), 3)
    drawn = TrainingPatches(Images(store), [stream], strong, seed=1, on_device=True)

    def told(batch: Batch) -> dict[int, list[tuple[str, bytes]]]:
        """Of each patch, its pixels so far, and what it is still to go through."""
        found = {
            int(patch_id): [("", batch.image[row].numpy().tobytes())] for row, patch_id in enumerate(batch.patch_id)
        }
        assert batch.noise is not None
        for name, (rows, values) in batch.noise.items():
            for row, value in zip(rows.tolist(), values, strict=True):
                found[int(batch.patch_id[row])].append((name, value.numpy().tobytes()))
        return found

    def step(share: Share) -> list[Batch]:
        return list(loader(drawn, Steps([11], [11], 1, 0, 1, share), 0, seed=0))

    (whole,) = step(Share())
    parts = [batch for rank in range(2) for batch in step(Share(rank, 2, 3))]
    assert sorted(len(batch.patch_id) for batch in parts) == [1, 2, 2, 2, 2, 2]
    dealt = [item for batch in parts for item in told(batch).items()]
    assert len(dealt) == 11
    assert dict(dealt) == told(whole)
    assert sum(map(len, told(whole).values())) > 40, "operations of strong"


def test_a_batch_carries_ids_targets_and_weights_of_its_patches(patches: dict[str, Path]) -> None:
    store = PatchStore(patches["store"] / "patches.h5")
    ids = np.sort(store.ids)[:4]
    target = np.eye(4, dtype=np.float32)
    drawn = TrainingPatches(
        Images(store), [Examples(ids, target, np.array([1, 0.5, 0.25, 0], np.float32))], NoiseDrawer(Noise(), 3), seed=1
    )
    batch = drawn[[Item(0, 2, 0), Item(0, 0, 1)]]
    assert batch.patch_id.numpy().view(np.uint64).tolist() == [ids[2], ids[0]]
    assert np.array_equal(batch.target.numpy(), target[[2, 0]])
    assert batch.weight.tolist() == [0.25, 1]
    for row, patch_id in enumerate((ids[2], ids[0])):
        pixels = store.pixels(int(store.rows(np.array([patch_id]))[0]))
        assert np.array_equal(batch.image[row].permute(1, 2, 0).numpy(), pixels)


@pytest.fixture
def ct(tmp_path: Path) -> Images:
    """Six patches of three slices, smooth enough that moving them shows."""
    with writing_store(tmp_path / "ct.h5", "hu16", 16, 3) as writer:
        for i in range(6):
            pixels = np.random.default_rng(i).integers(-900, 200, (16, 16, 3)).astype(np.int16)
            writer.add(i + 1, Record(f"{i}"), "main", "split", (i, i), pixels)
        writer.classes, writer.windows = ("a", "b"), windows_of(["lung", "bone"])
    return Images(PatchStore(tmp_path / "ct.h5"))


def test_ct_noise_differs_by_lap_and_not_by_worker(ct: Images) -> None:
    stream = Examples(np.sort(ct.store.ids), np.ones((6, 1), np.float32), np.ones(6, np.float32))
    drawn = TrainingPatches(ct, [stream], drawer(Noise(**PRESETS["ct_strong"]), ct.kind), seed=1)
    steps = Steps([6], [6], seed=1, start=0, stop=4)

    def batches(workers: int) -> list[np.ndarray]:
        return [batch.image.numpy() for batch in loader(drawn, steps, workers, seed=workers)]

    alone = batches(0)
    assert alone[0].shape == (6, 6, 16, 16)
    assert all(np.array_equal(a, b) for a, b in zip(alone, batches(2), strict=True))
    laps = [np.stack([drawn.image(Item(0, example, 6 * lap)) for example in range(6)]) for lap in range(4)]
    assert len({lap.tobytes() for lap in laps}) == 4
