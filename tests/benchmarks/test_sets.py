"""Benchmarks over sets of patches: where these are looked for, and what is said where one is not there."""

import runpy
import sys
from pathlib import Path

import pytest

from benchmarks.sets import EndedError, in_words, sets_folder
from data.errors import ChainError, ExitCode


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("likeness", ["--into", "kept"]),
        ("label_errors", ["--into", "kept"]),
        ("risk_promise", ["--into", "kept", "--features", "kept"]),
        ("label_efficiency", ["--into", "kept"]),
        ("beside_others", ["--into", "kept", "--only", "ours"]),
    ],
)
def test_a_set_that_is_not_there_is_named_in_three_lines(
    name: str, flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, "crc5", *flags])
    monkeypatch.setenv("PATCHCHAIN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=False)
    assert ended.value.code == ExitCode.MISSING
    told = capsys.readouterr().err
    assert "the set crc5 is not there" in told
    assert len(told.splitlines()) == 3


def test_the_folder_of_the_sets_is_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATCHCHAIN_DATA", str(tmp_path))
    assert sets_folder() == tmp_path


@pytest.mark.parametrize(
    ("error", "code"),
    [(ChainError("a", "b", "c", ExitCode.IO), 74), (EndedError(75), 75), (KeyboardInterrupt(), 130)],
)
def test_what_ends_a_benchmark_gives_it_its_code(error: BaseException, code: int) -> None:
    def work() -> int:
        raise error

    assert in_words(work) == code
    assert in_words(lambda: 65) == 65
