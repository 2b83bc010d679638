"""Every kind of source and of patch goes through the whole chain: labels, pool, validation and test from anywhere."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest

import run_chain
from data.files.recent import Recent
from data.patches import link

SIZE = 24
REST = """
splits: {validation: 0.2, test: 0.2, labels: {count: 3}}
rounds: 1
teacher: {backbone: test_resnet, steps: 2, evaluate_every: 2, batch_size: 4}
select: {rule: threshold, tau: 0.0001}
student: {backbone: test_resnet, steps: 2, evaluate_every: 2, batch_size: 4, unlabeled_ratio: 1, noise: strong}
promote: {gate: false}
"""


def patches(count: int, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    top = np.iinfo(dtype).max
    return np.random.default_rng(count).integers(0, top, (count, SIZE, SIZE, channels), dtype, endpoint=True)


def grey_manifest(where: Path, dtype: type, mode: str) -> str:
    """CT-like grey patches with patients; half of them without a label."""
    rows = []
    for n, image in enumerate(patches(80, 1, dtype)):
        cv2.imwrite(str(where / f"{n}.png"), image)
        label = ("nodule", "background")[n % 2] if n < 60 else ""
        rows.append({"path": f"{n}.png", "label": label, "patient": f"p{n % 20}"})
    with (where / "m.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["path", "label", "patient"])
        table.writeheader()
        table.writerows(rows)
    return f"{{size_px: {SIZE}, mode: {mode}, sources: [{{kind: manifest, path: m.csv}}]}}"


def grey8(where: Path) -> str:
    return grey_manifest(where, np.uint8, "grey8")


def grey16(where: Path) -> str:
    return grey_manifest(where, np.uint16, "grey16")


def medmnist(where: Path) -> str:
    arrays = {}
    for split, n in (("train", 40), ("val", 12), ("test", 14)):
        arrays[f"{split}_images"] = patches(n)
        arrays[f"{split}_labels"] = (np.arange(n) % 3).reshape(-1, 1).astype(np.uint8)
    np.savez(where / "m.npz", **arrays)
    names = "{'0': adipose, '1': debris, '2': mucus}"
    return f"{{size_px: {SIZE}, sources: [{{kind: npz, path: m.npz, label_names: {names}}}]}}"


def camelyon_and_a_test_set_from_elsewhere(where: Path) -> str:
    for name, n in (("here", 60), ("there", 20)):
        with h5py.File(where / f"{name}_x.h5", "w") as file:
            file["x"] = patches(n)
        with h5py.File(where / f"{name}_y.h5", "w") as file:
            file["y"] = (np.arange(n) % 2).reshape(-1, 1, 1, 1).astype(np.uint8)
    here = "{kind: hdf5, name: here, path: here_x.h5, labels_path: here_y.h5}"
    there = "{kind: hdf5, name: there, path: there_x.h5, labels_path: there_y.h5, part: test}"
    return f"{{size_px: {SIZE}, sources: [{here}, {there}]}}"


def folder_and_tree(where: Path) -> str:
    for n, image in enumerate(patches(60)):
        path = where / "labelled" / ("a", "b")[n % 2] / f"case{n % 15}_{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
    for n, image in enumerate(patches(20, 3)[::-1]):
        path = where / "more" / f"{n % 3}" / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
    ours = "{kind: folder, path: labelled, patient_pattern: '(case[0-9]+)_'}"
    return f"{{size_px: {SIZE}, sources: [{ours}, {{kind: tree, name: more, path: more}}]}}"


@pytest.mark.parametrize("make", [grey8, grey16, medmnist, camelyon_and_a_test_set_from_elsewhere, folder_and_tree])
def test_a_chain_on_it_ends_with_a_model(make: Callable[[Path], str], tmp_path: Path) -> None:
    data = make(tmp_path)
    rest = REST.replace("validation: 0.2, test: 0.2, ", "") if make is medmnist else REST  # it brings its own
    (tmp_path / "c.yaml").write_text(f"data: {data}\n{rest}")
    run = tmp_path / "run"
    assert run_chain.main(["run", str(tmp_path / "c.yaml"), str(run), "--threads", "1"]) == 0
    card = json.loads((run / "final/model.json").read_text())
    assert card["timm_kwargs"]["in_chans"] == len(card["mean"]) == (1 if "grey" in card["mode"] else 3)
    splits = pd.read_parquet(run / "data/splits/splits.parquet")
    pool = splits[splits["split"] == "pool"]
    assert len(pool) > 0
    assert (pool["label"] == -1).all()
    kept = pd.read_parquet(run / "rounds/00/select/selection.parquet")
    assert set(kept["id"]) == set(pool["id"])  # so low a tau keeps all


def test_a_store_is_a_source_for_another_run(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"data: {grey8(tmp_path)}\n{REST}")
    first, second = tmp_path / "first", tmp_path / "second"
    assert run_chain.main(["run", str(tmp_path / "c.yaml"), str(first), "--threads", "1", "--set", "rounds=0"]) == 0
    source = "{kind: store, path: first/data/store/patches.h5}"
    text = f"data: {{size_px: {SIZE}, mode: grey8, sources: [{source}]}}\n{REST}"
    (tmp_path / "d.yaml").write_text(text)
    assert run_chain.main(["run", str(tmp_path / "d.yaml"), str(second), "--threads", "1", "--set", "rounds=0"]) == 0
    counts = [json.loads((run / "data/splits/splits.json").read_text())["patches"] for run in (first, second)]
    assert sum(counts[0].values()) == sum(counts[1].values()) == 80


def test_a_chain_on_linked_patches_is_the_chain_on_copies_and_says_which_file_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.yaml").write_text(f"data: {grey8(tmp_path)}\n{REST}")
    assert run_chain.main(["run", str(tmp_path / "c.yaml"), str(tmp_path / "first"), "--set", "rounds=0"]) == 0
    patches_of_first = tmp_path / "first/data/store/patches.h5"
    source = f"{{kind: store, path: {patches_of_first}}}"
    (tmp_path / "d.yaml").write_text(f"data: {{size_px: {SIZE}, mode: grey8, sources: [{source}]}}\n{REST}")
    models = []
    for encoding in ("keep", "link"):
        run = tmp_path / encoding
        words = ["--threads", "1", "--set", "rounds=0", "--set", f"data.encoding={encoding}"]
        assert run_chain.main(["run", str(tmp_path / "d.yaml"), str(run), *words]) == 0
        models.append((run / "rounds/00/teacher/model.safetensors").read_bytes())
    assert models[0] == models[1]
    patches_of_first.unlink()
    monkeypatch.setattr(link, "FILES", Recent(link._opened, 1))  # a later process has no handle of what is gone
    capsys.readouterr()
    assert run_chain.main(["rerun", str(run), "--from", "rounds/00/teacher"]) == 66
    said = capsys.readouterr().err
    assert "cannot be read from its store again" in said
    assert str(patches_of_first) in said
    assert "Traceback" not in said
