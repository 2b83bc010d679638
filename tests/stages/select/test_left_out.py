"""Given labels told by each other: every one counts once, and a class that cannot be left out spoils nothing."""

import numpy as np
import pytest

from data.patches.labels import GivenLabels
from stages.select.left_out import LeftOut
from stages.select.propagate import Likeness, Propagate

N, CLASSES = 600, 4
WAY = ("teacher",)


def points(mixed: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Patches of four classes that lie apart, but for a share that lies anywhere, and their classes."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, CLASSES, N)
    place = np.where(rng.random(N) < mixed, rng.integers(0, CLASSES, N), truth)
    found = np.eye(CLASSES)[place] + 0.2 * rng.normal(size=(N, CLASSES))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), truth


def left_out(per_class: list[int], patients: int = 0, near: float = 1.0, mixed: float = 0.3) -> LeftOut:
    """So many labels of each class, each patch its own patient, or of so many of them in turn."""
    seen, truth = points(mixed)
    rows = np.sort(np.concatenate([np.flatnonzero(truth == k)[:count] for k, count in enumerate(per_class)]))
    given = GivenLabels(rows.astype(np.uint64), truth[rows].astype(np.int16))
    groups = np.arange(len(rows)) % patients if patients else np.arange(len(rows))
    graph = Likeness(Propagate(), seen)
    return LeftOut(given, rows, groups, near, CLASSES, 0, lambda names: graph)


@pytest.mark.parametrize(
    ("per_class", "patients", "near"), [([9, 9, 9, 9], 0, 1.0), ([9, 7, 5, 1], 0, 1.0), ([9, 9, 9, 9], 6, 0.25)]
)
def test_rows_are_the_labels_of_each_class(per_class: list[int], patients: int, near: float) -> None:
    found = left_out(per_class, patients, near).of_pool([WAY])
    assert found is not None
    np.testing.assert_allclose(found.sum(axis=1), per_class, rtol=0.25)
    assert found.sum() == pytest.approx(sum(per_class))


def test_a_class_with_a_single_label_is_taken_to_be_told_as_the_others_are() -> None:
    whole, bare = (left_out(counts).of_pool([WAY]) for counts in ([9, 9, 9, 1], [9, 9, 9, 0]))
    assert whole is not None
    assert bare is not None
    right = whole[:3].trace() / whole[:3].sum()
    assert whole[3] == pytest.approx([(1 - right) / 3, (1 - right) / 3, (1 - right) / 3, right])
    assert not bare[3].any()
    assert not bare[:, 3].any()  # nobody told what nobody labelled


@pytest.mark.parametrize(("patients", "near", "few"), [(3, 0.04, True), (5, 0.04, False), (3, 0.6, False)])
def test_labels_of_few_patients_do_not_speak_for_a_pool_of_others(patients: int, near: float, few: bool) -> None:
    assert left_out([9, 9, 9, 9], patients, near).few == ((patients, 1 - near) if few else None)


def test_labels_of_one_alone_in_every_class_tell_nothing() -> None:
    assert left_out([1, 1, 1, 1]).of_pool([WAY]) is None


def test_where_one_patient_has_all_labels_of_a_class_the_others_are_still_left_out_whole() -> None:
    one = left_out([8, 8, 8, 8], patients=2, near=0.0)
    label = one._label
    one._groups = np.where(label == 0, 0, np.arange(len(label)) % 2)  # the first class is of one patient alone
    found = one.of_pool([WAY])
    assert found is not None
    assert found.sum(axis=1) == pytest.approx([8, 8, 8, 8], rel=0.3)
