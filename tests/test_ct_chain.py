"""A chain on CT patches, flat and of several slices, and one on stain-normalised colour: through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import run_chain
from data.images import Images
from data.patches.record import Record
from data.stain_normaliser import load_normaliser
from data.store.patch_store import PatchStore
from data.store.writer import writing_store
from stages.networks.create import load_network
from stages.predict.scoring import log_probs, normalise
from stages.scores import read_scores
from tests.test_chain import committed
from tests.tiny import CHAIN

SIZE, PATIENTS, EACH = 24, 10, 12


def prepared(path: Path, depth: int) -> Path:
    """A store of HU patches without windows, as a preparation leaves it: noisy lung, every third with a nodule."""
    rng = np.random.default_rng(depth)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    with writing_store(path, "hu16", SIZE, depth) as writer:
        for i in range(PATIENTS * EACH):
            hu = rng.normal(-800, 60, (SIZE, SIZE, depth))
            if i % 3 == 0:
                hu[np.hypot(x, y) < rng.uniform(3, 6)] += 850
            record = Record(f"{i}", "nodule" if i % 3 == 0 else "none", patient=f"p{i % PATIENTS}")
            writer.add(i * 7919 + 1, record, "main", "split", (i, i), hu.astype(np.int16))
        writer.classes = ("nodule", "none")
    return path


def ct_config(directory: Path, depth: int, more: str = "") -> Path:
    prepared(directory / "patches.h5", depth)
    data = (
        f"data: {{size_px: {SIZE}, mode: hu16, depth: {depth}, windows: [lung, [40, 400]], "
        "sources: [{kind: store, path: patches.h5}]}"
    )
    lines = [data if line.startswith("data:") else line for line in CHAIN.splitlines()]
    text = "\n".join(lines).replace("rounds: 2", "rounds: 1").replace("count: 4", "count: 6")
    (directory / "ct.yaml").write_text(text + more)
    return directory / "ct.yaml"


def run(config: Path, into: Path, *changes: str) -> Path:
    words = [word for change in changes for word in ("--set", change)]
    assert run_chain.main(["run", str(config), str(into), "--threads", "1", *words]) == 0
    return into


@pytest.mark.parametrize("depth", [1, 3])
def test_a_chain_on_ct_patches(tmp_path: Path, depth: int) -> None:
    config = ct_config(tmp_path, depth)
    assert run_chain.main(["check", str(config)]) == 0
    done = run(config, tmp_path / "run")
    card = json.loads((done / "final/model.json").read_text())
    assert card["timm_kwargs"]["in_chans"] == 2 * depth == len(card["mean"])
    assert [window["name"] for window in card["windows"]] == ["lung", None]
    assert card["depth"] == depth
    store = PatchStore(done / "data/store/patches.h5")
    assert store.mode == "hu16"
    assert store.depth == depth
    assert np.array_equal(store.pixels(5), PatchStore(tmp_path / "patches.h5").pixels(5))  # HU, not windows
    assert run_chain.main(["verify", str(done)]) == 0
    if depth > 1:
        assert committed(run(config, tmp_path / "again")) == committed(done)


def test_ct_noise_on_the_device_is_the_same_training(tmp_path: Path) -> None:
    config = ct_config(tmp_path, 3)
    loader, device = tmp_path / "loader", tmp_path / "device"
    words = ["run", str(config), "--threads", "1", "--set", "rounds=0", "--set", "teacher.noise=strong"]
    assert run_chain.main([*words, str(loader)]) == 0
    assert run_chain.main([*words, str(device), "--noise-on", "device"]) == 0
    first, second = (
        json.loads((where / "rounds/00/teacher/metrics.json").read_text())["history"] for where in (loader, device)
    )
    assert first != second, "windows and moves within rounding, not bit by bit: or the flag changed nothing"
    for before, after in zip(first, second, strict=True):
        assert after["loss"] == pytest.approx(before["loss"], abs=5e-3)


def test_model_json_is_enough_to_score_a_patch_without_this_program(tmp_path: Path) -> None:
    """Oracle: HU to scores by the words of model.json alone, against the chain's own scores."""
    import timm
    from safetensors.torch import load_file

    done = run(ct_config(tmp_path, 3), tmp_path / "run")
    teacher = done / "rounds/00/teacher"
    card = json.loads((teacher / "model.json").read_text())
    network = timm.create_model(card["name"], **card["timm_kwargs"])
    network.load_state_dict(load_file(teacher / "model.safetensors"))
    scores, store = read_scores(done / "rounds/00/predict/scores.h5", "test"), PatchStore(tmp_path / "patches.h5")
    by_key = {store.key(row): row for row in range(len(store))}
    chain_store = PatchStore(done / "data/store/patches.h5")
    for patch_id, said in list(zip(scores.ids, scores.log_probs, strict=True))[:5]:
        key = chain_store.key(int(chain_store.rows(np.array([patch_id]))[0]))
        hu = store.pixels(by_key[key.removeprefix("main/")]).astype(np.float32)
        channels = [
            np.clip((hu[:, :, d] - window["level_hu"]) / window["width_hu"] + 0.5, 0, 1)
            for window in card["windows"]
            for d in range(card["depth"])
        ]
        image = (np.stack(channels) - np.reshape(card["mean"], (-1, 1, 1))) / np.reshape(card["std"], (-1, 1, 1))
        with torch.inference_mode():
            mine = log_probs(network.eval(), torch.from_numpy(image[None]).float(), 1)[0].numpy()
        np.testing.assert_allclose(mine, said.astype(np.float32), atol=5e-3)


def test_a_3d_network_in_the_chain(tmp_path: Path) -> None:
    config = ct_config(tmp_path, 3)
    volume = ("rounds=0", "teacher.backbone=torchvision/mc3_18", "teacher.steps=1", "teacher.batch_size=4")
    done = run(config, tmp_path / "run", *volume)
    network, card = load_network(done / "final")
    assert card.timm_kwargs == {"num_classes": 2, "in_chans": 2, "depth": 3}
    with torch.inference_mode():
        assert network(torch.zeros(1, 6, SIZE, SIZE)).shape == (1, 2)


def test_a_chain_on_normalised_stain(tmp_path: Path) -> None:
    """Training, statistics and scoring see the same normalised patches; the target is in model.json."""
    (tmp_path / "c.yaml").write_text(CHAIN.replace("rounds: 2", "rounds: 1"))
    done = run(tmp_path / "c.yaml", tmp_path / "run", "splits.stain=macenko")
    plain = run(tmp_path / "c.yaml", tmp_path / "plain", "rounds=0")
    written = json.loads((done / "data/splits/stain.json").read_text())
    card = json.loads((done / "final/model.json").read_text())
    assert card["stain"]["directions"] == written["target"]["directions"]
    assert "Macenko" in card["input"]
    assert json.loads((plain / "final/model.json").read_text())["stain"] is None
    assert not (plain / "data/splits/stain.json").exists()
    statistics = [json.loads((at / "data/splits/splits.json").read_text()) for at in (done, plain)]
    assert statistics[0]["mean"] != statistics[1]["mean"]

    store = PatchStore(done / "data/store/patches.h5")
    images = Images(store, load_normaliser(done / "data/splits", store))
    network, found = load_network(done / "rounds/00/teacher")
    scores = read_scores(done / "rounds/00/predict/scores.h5", "test")
    batch = torch.from_numpy(np.stack([images.image(int(row)) for row in store.rows(scores.ids[:8])])).permute(
        0, 3, 1, 2
    )
    mean, std = (torch.tensor(value).view(-1, 1, 1) for value in (found.mean, found.std))
    with torch.inference_mode():
        said = log_probs(network, normalise(batch, mean, std), 1).numpy()
    np.testing.assert_allclose(said, scores.log_probs[:8].astype(np.float32), atol=5e-3)
