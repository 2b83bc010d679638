"""The commands of the sides."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.beside_others.__main__ import parsed
from benchmarks.beside_others.patches import Rows
from benchmarks.beside_others.sides import Desk, command, wilds_words
from pipeline.config.reading import load_config
from tests.benchmarks.beside_others.folders import SMALL


def desk(tmp_path: Path, examples: Path | None = None) -> Desk:
    return Desk(SMALL, tmp_path, Rows([], np.array([]), np.array([]), ["a", "b"]), examples)


def test_ours_is_a_configuration_of_the_program(tmp_path: Path) -> None:
    words = command("ours", desk(tmp_path), tmp_path / "at")
    config = load_config(tmp_path / "at" / "config.yaml")
    assert (config.teacher.steps, config.student.steps) == (2, 2)
    assert config.student.warm_start
    assert words[words.index("--threads") + 1] == "2"
    assert yaml.safe_load((tmp_path / "at" / "config.yaml").read_text())["teacher"]["init"] == {"kind": "random"}


def test_all_sides_begin_with_the_same_weights(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").touch()
    command("ours", desk(tmp_path), tmp_path / "at")
    ours = yaml.safe_load((tmp_path / "at" / "config.yaml").read_text())["teacher"]["init"]
    teacher, _ = wilds_words(desk(tmp_path, tmp_path), tmp_path)
    assert ours["path"] == teacher[teacher.index("--pretrained_model_path") + 1] == str(tmp_path / "weights.pth")


def test_wilds_has_the_same_steps_batches_and_rates(tmp_path: Path) -> None:
    teacher, students = wilds_words(desk(tmp_path, tmp_path / "examples"), tmp_path / "at")
    assert teacher[0] == str(tmp_path / "examples" / "run_expt.py")
    assert students[:2] == [str(tmp_path / "examples" / "noisy_student_wrapper.py"), "1"]
    for words in (teacher, students):
        said = {word: words[at + 1] for at, word in enumerate(words) if word.startswith("--")}
        assert (said["--n_epochs"], said["--batch_size"], said["--lr"], said["--optimizer"]) == (
            "1",
            "4",
            "0.0005",
            "AdamW",
        )
        assert said["--resume"] == "True", "what an interrupted run has saved is gone on with"
    assert students[students.index("--unlabeled_batch_size") + 1] == "12"


def test_python_is_the_launcher_where_wilds_looks_for_it(tmp_path: Path) -> None:
    """The wrapper starts `python run_expt.py`; the stand-ins must be there then as well."""
    one = desk(tmp_path, tmp_path / "examples")
    command("wilds", one, tmp_path / "at")
    script = tmp_path / "said.py"
    script.write_text("import sys; print(*sys.argv[1:])")
    done = subprocess.run(
        ["sh", "-c", f"python '{script}' two words"], env=one.env(tmp_path / "at"), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout == "two words\n"


def test_wilds_needs_a_checkout(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(["drawn"])
    assert "--only ours sklearn" in capsys.readouterr().err
    assert parsed(["drawn", "--only", "ours", "--lr", "0.1"]).lr == 0.1
