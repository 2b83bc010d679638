"""A run as the report reads it: held-out patches are read by the belief that was fitted to the same scores."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from data.errors import ChainError, ExitCode
from pipeline.directory.layout import Layout
from pipeline.report.run import Run
from stages.scores import Scores, read_scores, write_scores
from stages.select.belief import Belief
from stages.select.believed_scores import BELIEVED


def test_where_labels_are_propagated_the_teacher_is_read_without_their_temperature(
    slides_run: Layout, tmp_path: Path
) -> None:
    run = Layout(Path(shutil.copytree(slides_run.root, tmp_path / "run")))
    select, predict = (run.place(f"rounds/02/{name}") for name in ("select", "predict"))
    quality = json.loads((select / "quality.json").read_text())
    (select / "quality.json").write_text(json.dumps(quality | {"temperature": 3.0, "alignment": None}))
    splits = Run.open(run).splits

    def read(part: str) -> np.ndarray:
        return Run.open(run).round(2).held_out_probs(getattr(splits, part), part)

    teacher = {part: read_scores(predict / "scores.h5", part) for part in ("pool", "validation", "test")}
    for part in ("validation", "test"):
        assert read(part) == pytest.approx(Belief(3.0).of(teacher[part]), abs=1e-6)
    turned = {name: Scores(s.ids, np.ascontiguousarray(s.log_probs[:, ::-1])) for name, s in teacher.items()}
    write_scores(select / BELIEVED, {name: turned[name] for name in ("pool", "validation")})
    assert read("validation") == pytest.approx(Belief(3.0).of(turned["validation"]), abs=1e-6)
    assert read("test") == pytest.approx(Belief(1.0).of(teacher["test"]), abs=1e-6)


@pytest.mark.parametrize(("step", "name"), [("predict", "scores.h5"), ("select", "selection.parquet")])
def test_what_is_gone_of_a_round_is_named_with_the_command_that_makes_it_again(
    slides_run: Layout, tmp_path: Path, step: str, name: str
) -> None:
    run = Layout(Path(shutil.copytree(slides_run.root, tmp_path / "run")))
    (run.place(f"rounds/00/{step}") / name).unlink()
    with pytest.raises(ChainError, match=f"rounds/00/{step}/{name} is missing") as caught:
        Run.open(run).round(0)
    assert run.rerun(f"rounds/00/{step}") in caught.value.todo
    assert caught.value.code == ExitCode.DAMAGED
