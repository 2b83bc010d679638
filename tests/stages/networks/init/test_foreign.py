"""Checkpoints of elsewhere: tensors are taken, everything else is refused, and nothing of it runs."""

import os
import pickle
import zipfile
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.errors import ChainError, ExitCode
from stages.networks.init.donor import donor_from_file

TENSORS = {"conv.weight": torch.arange(6.0).reshape(2, 3), "bn.num_batches_tracked": torch.tensor(7)}


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("evil-was-here",)


def saved(where: Path, value: Any, **options: Any) -> Path:
    torch.save(value, where / "w.pth", **options)
    return where / "w.pth"


@pytest.mark.parametrize(
    "held",
    [
        TENSORS,
        OrderedDict(TENSORS),
        {"state_dict": TENSORS, "epoch": 3, "hyper_parameters": {"lr": 0.1}},
        {"model": {f"module.{name}": tensor for name, tensor in TENSORS.items()}, "optimizer": {"state": {}}},
        {name: torch.nn.Parameter(tensor, tensor.is_floating_point()) for name, tensor in TENSORS.items()},
    ],
    ids=["plain", "ordered", "lightning", "wrapped", "parameters"],
)
def test_tensors_are_taken_from_wherever_they_stand(tmp_path: Path, held: Any) -> None:
    found = donor_from_file(saved(tmp_path, held), "teacher.init.path").tensors
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())
    assert not any(tensor.requires_grad for tensor in found.values())


ITSELF: dict[str, Any] = {"epoch": 3}
ITSELF["model"] = ITSELF
REFUSED = {
    "in the tensors": {**TENSORS, "x": Evil()},
    "beside them": {"state_dict": TENSORS, "callbacks": [Evil()]},
    "as a key": {"state_dict": TENSORS, Evil(): 1},
    "in the optimizer": {"state_dict": TENSORS, "optimizer_states": [{"state": {0: Evil()}}]},
    "in the state of random numbers": {"state_dict": TENSORS, "rng": (3, Evil())},
    "instead of everything": Evil(),
    "settings of a class": {"state_dict": TENSORS, "args": Namespace(lr=0.1)},
    "numbers of numpy": {"state_dict": TENSORS, "best": np.float64(0.5)},
    "a whole network": torch.nn.Linear(2, 2),
    "no tensors": {"epoch": 3},
    "itself": ITSELF,
    "a list": [torch.zeros(2)],
    "tensors among others": {"a": torch.zeros(2), "b": 3},
    "an expanded tensor": {"a": torch.zeros(1).expand(1 << 40)},
    "a sparse tensor": {"a": torch.eye(3).to_sparse()},
    "a tensor nowhere": {"a": torch.zeros(1 << 40, device="meta")},
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("env", [None, "1"])
def test_everything_else_is_refused_and_never_run(
    tmp_path: Path, name: str, env: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if env:  # flips torch's default, and must not flip ours
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", env)
    with pytest.raises(ChainError, match="does not hold tensors alone") as caught:
        donor_from_file(saved(tmp_path, REFUSED[name]), "teacher.init.path")
    assert caught.value.code == ExitCode.BAD_DATA
    assert caught.value.what.startswith("teacher.init.path: ")
    assert not (tmp_path / "evil-was-here").exists()


def test_what_cannot_be_loaded_says_what_it_would_have_called(tmp_path: Path) -> None:
    with pytest.raises(ChainError) as caught:
        donor_from_file(saved(tmp_path, REFUSED["beside them"]), "teacher.init.path")
    assert "posix.mkdir" in caught.value.why


@pytest.mark.parametrize("old", [True, False])
def test_pickles_without_an_archive_are_no_checkpoints(tmp_path: Path, old: bool, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path, {"a": Evil()}, _use_new_zipfile_serialization=False)
    if not old:
        path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ChainError, match="is not a safetensors file"):
        donor_from_file(path, "teacher.init.path")
    assert not (tmp_path / "evil-was-here").exists()


def test_packed_and_cut_archives_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, TENSORS)
    with zipfile.ZipFile(path) as whole:
        entries = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries.items():
            packed.writestr(name, content + bytes(1 << 24) if name.endswith("data/0") else content)
    raw = path.read_bytes()
    (tmp_path / "cut.pth").write_bytes(raw[: len(raw) // 2])
    for name, why in (("packed", "packed"), ("cut", "damaged")):
        with pytest.raises(ChainError) as caught:
            donor_from_file(tmp_path / f"{name}.pth", "teacher.init.path")
        assert why in caught.value.why


def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "w.pth")
    with pytest.raises(ChainError, match="does not hold tensors alone"):
        donor_from_file(tmp_path / "w.pth", "teacher.init.path")
