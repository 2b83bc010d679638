import importlib
from pathlib import Path
from types import ModuleType

import pytest

from data.errors import ChainError, ExitCode
from pipeline.check import check
from tests.fake_stages import CONFIG, config_in

TWO_SPLITS = CONFIG.replace("{kind: synthetic}", "{kind: manifest, path: patches.csv}")


def without_torch(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
    """Stand-ins: what is checked here is what is said, and importing torch costs seconds."""

    def imported(name: str) -> ModuleType:
        if name == "torchvision" and error is not None:
            raise error
        module = ModuleType(name)
        module.__version__ = "9"  # type: ignore[attr-defined]
        module.cuda = type("Cuda", (), {"is_available": staticmethod(lambda: False)})  # type: ignore[attr-defined]
        module.check_network = lambda *of: ["network"]  # type: ignore[attr-defined]
        return module

    monkeypatch.setattr(importlib, "import_module", imported)


def test_a_broken_pair_of_torch_and_torchvision_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_in(tmp_path)
    without_torch(monkeypatch, RuntimeError("operator torchvision::nms does not exist"))
    with pytest.raises(ChainError) as caught:
        list(check(config))
    assert caught.value.code == ExitCode.MISMATCH
    assert "matching pair" in caught.value.todo


def test_a_patient_in_two_splits_is_found_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np
    from PIL import Image

    rows = ["path,label,patient,split"]
    rng = np.random.default_rng(0)
    for i, split in enumerate(["train", "train", "validation", "test"]):
        for label in "AB":
            Image.fromarray(rng.integers(0, 255, (24, 24, 3), np.uint8)).save(tmp_path / f"{i}{label}.png")
            rows.append(f"{i}{label}.png,{label},p{min(i, 2)},{split}")
    (tmp_path / "patches.csv").write_text("\n".join(rows))
    config = config_in(tmp_path, TWO_SPLITS)
    without_torch(monkeypatch)
    with pytest.raises(ChainError, match="patient p2 is in validation and in test") as caught:
        list(check(config))
    assert caught.value.code == ExitCode.BAD_DATA
    assert ".png" in caught.value.what  # by its place, not only by its id
