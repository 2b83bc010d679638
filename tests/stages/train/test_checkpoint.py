"""Checkpoints: whole or absent, verified when read, tensors and plain values only."""

import os
from pathlib import Path

import pytest
import torch

from data.errors import ChainError, ExitCode
from stages.train.checkpoint import WholeFiles, newest_verified


def save(directory: Path, step: int) -> Path:
    path = directory / f"step-{step:09d}.ckpt"
    WholeFiles().save_checkpoint({"weights": torch.full((100,), float(step))}, path)
    return path


def test_the_newest_that_verifies_wins_and_clocks_do_not_matter(tmp_path: Path) -> None:
    old, new = save(tmp_path, 100), save(tmp_path, 200)
    os.utime(new, (1, 1))
    assert newest_verified(tmp_path) == new
    torn = new.read_bytes()[:-10]
    new.write_bytes(torn)
    assert newest_verified(tmp_path) == old
    flipped = bytearray(old.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    old.write_bytes(flipped)
    assert newest_verified(tmp_path) is None


def test_a_checkpoint_without_its_digest_does_not_count(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    path.with_name(path.name + ".sha256.json").unlink()
    assert newest_verified(tmp_path) is None


def test_no_checkpoint_is_no_checkpoint(tmp_path: Path) -> None:
    assert newest_verified(tmp_path / "absent") is None


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("evil-was-here",)


@pytest.mark.parametrize("env", [None, "1"])
def test_a_pickle_is_never_run(tmp_path: Path, env: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if env:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", env)
    path = tmp_path / "evil.ckpt"
    torch.save({"x": Evil()}, path)
    with pytest.raises(ChainError, match=r"evil\.ckpt is damaged or not ours") as caught:
        WholeFiles().load_checkpoint(path)
    assert caught.value.code == ExitCode.DAMAGED
    assert "posix.mkdir" in caught.value.why
    assert not (tmp_path / "evil-was-here").exists()
