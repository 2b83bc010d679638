import h5py
import numpy as np
import pytest

from data.errors import ChainError
from data.readers.hdf5 import Hdf5


@pytest.fixture
def camelyon(tmp_path, patch):
    """The PatchCamelyon layout: patches and labels in two files, labels (N, 1, 1, 1)."""
    x = np.stack([patch(i, 96) for i in range(300)])
    y = (np.arange(300) % 2).reshape(300, 1, 1, 1).astype(np.uint8)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=x, chunks=(7, 48, 48, 1), compression="gzip", compression_opts=1)
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["y"] = y
        file["who"] = [f"p{i // 30}" for i in range(300)]
    return tmp_path, x


def test_patch_camelyon(camelyon):
    path, x = camelyon
    names = {"0": "normal", "1": "tumour"}
    reader = Hdf5(path=path / "x.h5", labels_path=path / "y.h5", patient="who", label_names=names)
    records = list(reader.records())
    assert [(r.key, r.label, r.patient) for r in records[30:32]] == [("30", "normal", "p1"), ("31", "tumour", "p1")]
    for row in (0, 299, 6, 7, 150):
        assert np.array_equal(reader.content(records[row]), x[row])


def test_a_negative_label_and_a_null_y_mean_no_label(camelyon):
    path, _ = camelyon
    with h5py.File(path / "x.h5", "a") as file:
        file["y"] = np.where(np.arange(300) < 2, -1, 4)
    assert [r.label for r in Hdf5(path=path / "x.h5").records()][:3] == ["", "", "4"]
    assert {r.label for r in Hdf5(path=path / "x.h5", y=None).records()} == {""}


@pytest.mark.parametrize("kind", ["S8", None], ids=["fixed length", "variable length"])
def test_blanks_around_a_name_are_no_part_of_it(camelyon, kind):
    path, _ = camelyon
    texts = [(" a", "a  ", "b", "  ")[i % 4] for i in range(300)]
    with h5py.File(path / "y.h5", "a") as file:
        for name in ("y", "who"):
            del file[name]
            file[name] = np.array(texts, kind) if kind else texts
    records = list(Hdf5(path=path / "x.h5", labels_path=path / "y.h5", patient="who").records())
    assert [(r.label, r.patient) for r in records[:4]] == [("a", "a"), ("a", "a"), ("b", "b"), ("", "")]


@pytest.mark.parametrize("name", ["y", "who"])
@pytest.mark.parametrize("lost", ["nan", " None ", "Unknown", "#N/A"])
def test_a_lost_value_is_neither_a_class_nor_a_patient(camelyon, name, lost):
    path, _ = camelyon
    with h5py.File(path / "y.h5", "a") as file:
        del file[name]
        file[name] = np.array([lost, "b"] * 150, "S8")
    reader = Hdf5(path=path / "x.h5", labels_path=path / "y.h5", patient="who")
    with pytest.raises(ChainError, match="holds") as caught:
        list(reader.records())
    assert caught.value.code == 65
    if name == "y":
        named = Hdf5(path=path / "x.h5", labels_path=path / "y.h5", label_names={lost.strip(): "healthy", "b": "b"})
        assert next(named.records()).label == "healthy"


@pytest.mark.parametrize(
    ("name", "values", "gist"),
    [
        ("y", np.zeros(299, int), "shape"),
        ("y", np.zeros((300, 14), int), "shape"),
        ("y", np.zeros(300), "float64"),
        ("y", np.full(300, 7), "label_names"),
        ("who", np.zeros(5, int), "5 rows for 300 patches"),
        ("who", np.zeros((300, 2), int), "expected"),
    ],
)
def test_labels_that_do_not_fit_are_refused_by_name(camelyon, name, values, gist):
    path, _ = camelyon
    with h5py.File(path / "y.h5", "a") as file:
        del file[name]
        file[name] = values
    reader = Hdf5(path=path / "x.h5", labels_path=path / "y.h5", patient="who", label_names={"0": "a", "1": "b"})
    with pytest.raises(ChainError) as caught:
        list(reader.records())
    assert caught.value.code == 65
    assert gist in " ".join(caught.value.lines())
    assert name in " ".join(caught.value.lines())


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((3, 8, 8), "f4"),
        np.zeros((3, 8, 8), "i1"),
        np.zeros((3, 8, 8), "i4"),
        np.zeros((3, 8, 8, 4), "u1"),
        np.zeros((3, 8, 8, 5), "u2"),
        np.zeros((3, 8, 8, 257), "i2"),
        np.zeros((3, 8, 8, 0), "i2"),
        np.zeros((8, 8), "u1"),
    ],
    ids=lambda values: f"{values.dtype} {values.shape}",
)
def test_arrays_that_are_no_patches_are_refused(tmp_path, values):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = values
    with pytest.raises(ChainError, match="'x' is no array of patches"):
        list(Hdf5(path=tmp_path / "x.h5", y=None).records())
