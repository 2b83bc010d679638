"""Labels that the chain was given: doubted by rule, judged by people, learnt anew by every step that knew them."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import run_chain
from data.errors import ChainError, ExitCode
from data.patches.labels import GivenLabels
from data.splits.written import load_splits
from pipeline.directory.layout import Layout
from pipeline.report.run import Run
from pipeline.report.suspects import Suspects
from pipeline.review import doubting
from pipeline.review.doubting import doubted
from pipeline.review.exporting import export
from pipeline.review.importing import import_review
from pipeline.review.web.desk import Desk
from stages.predict.embedding import OF_ENCODER, OF_TEACHER, Embeddings
from tests.embeddings import write_embeddings
from tests.fake_stages import committed
from tests.pipeline.review.conftest import Fill

NOBODY = np.empty(0, np.uint64)
Rows = list[dict[str, str]]


def given_in(run: Path) -> dict[str, str]:
    """Patch id -> class, as the splits have it."""
    splits = load_splits(run / "data/splits")
    pairs = zip(splits.labelled.ids, splits.labelled.label, strict=True)
    return {f"{int(one):016x}": splits.classes[code] for one, code in pairs}


def rows_of(sheet: Path) -> Rows:
    with sheet.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_sheet_of_suspects_holds_training_labels_that_look_like_another_class(finished: Path, tmp_path: Path) -> None:
    one, two = (export(Layout(finished), 1, 100, tmp_path / name, "suspects") for name in ("one", "two"))
    assert committed(one) == committed(two)
    rows, given = rows_of(one / "review.csv"), given_in(finished)
    assert 0 < len(rows) < len(given)
    margins = []
    for row in rows:
        was = given[row["id"]]  # of the labels that train, and no other
        assert row["suggested"] != was
        assert row["why"].startswith(f"given as {was} ")
        margins.append(float(row[f"p_{was}"]) - float(row[f"p_{row['suggested']}"]))
    assert margins == pytest.approx(sorted(margins), abs=2e-3), "the most doubtful come first"
    assert len(rows_of(export(Layout(finished), 1, 2, tmp_path / "few", "suspects") / "review.csv")) == 2
    assert "write that class again" in " ".join((one / "HOW.txt").read_text().lower().split())


def test_labels_turned_into_others_are_found_by_what_a_network_that_never_learnt_them_sees(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    opened = Run.open(Layout(run))
    ids, classes = opened.splits.pool[:150], len(opened.classes)
    truth = np.arange(150) % classes
    turned = np.sort(rng.choice(150, 9, replace=False))
    said = truth.copy()
    said[turned] = (truth[turned] + 1) % classes
    by_heart, honest = np.eye(classes)[said], np.eye(classes)[truth] + rng.normal(0, 0.2, (150, classes))
    # the teacher has learnt every label by heart, and its embeddings tell nothing but the label
    write_embeddings(run / "rounds/01/predict" / OF_TEACHER, Embeddings(ids, by_heart))
    monkeypatch.setattr(doubting, "_drawn", lambda run: GivenLabels(ids, said.astype(np.int16)))
    assert not np.isin(ids[turned], doubted(opened, 1, NOBODY).ids).any()
    write_embeddings(run / "rounds/00/predict" / OF_ENCODER, Embeddings(ids, honest))
    found = doubted(opened, 1, NOBODY)
    first = np.isin(found.ids[: len(turned)], ids[turned])
    assert first.mean() > 0.7
    at = np.searchsorted(ids, found.ids[: len(turned)][first])
    assert (found.looks[: len(turned)][first] == truth[at]).all()
    assert not np.isin(doubted(opened, 1, ids[turned]).ids, ids[turned]).any(), "who was reviewed is not asked again"


def test_of_very_many_labels_a_draw_is_judged(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubting, "MOST", 15)
    opened = Run.open(Layout(finished))
    drawn = doubting._drawn(opened)
    assert len(drawn) == 15
    assert (drawn.ids[1:] > drawn.ids[:-1]).all()
    whole = opened.splits.labelled
    assert (whole.label[np.searchsorted(whole.ids, drawn.ids)] == drawn.label).all()


def test_a_corrected_given_label_is_learnt_anew_from_the_first_teacher_on(
    run: Path, fill: Fill, capsys: pytest.CaptureFixture[str], learnt: Callable[[Path, str], dict[str, str]]
) -> None:
    def main(*words: object) -> str:
        assert run_chain.main([str(word) for word in words]) == 0
        return capsys.readouterr().out

    main("review", "export", run, "--pick", "suspects", "--n", 3)
    sheet = run / "exports/round-01-suspects-3/review.csv"
    rows, given = rows_of(sheet), given_in(run)
    right, wrong, bad = rows[0]["id"], rows[1]["id"], rows[2]["id"]
    fill(sheet, {right: given[right], wrong: rows[1]["suggested"], bad: "reject"})
    before = committed(run)
    told = main("review", "import", run, sheet, "--by", "Ana")
    assert "of labels that were given before, 1 are kept, 1 corrected and 1 rejected" in told
    assert f"to have the first teacher learn them, and all that follows: python run_chain.py rerun {run} --from " in (
        told.replace("patchchain", "python run_chain.py")
    )
    assert "--from rounds/00/teacher  (9 finished steps again" in told
    main("resume", run)
    assert committed(run) == before, "a finished chain is not changed by a review"

    main("rerun", run, "--from", "rounds/00/teacher", "--threads", 1)
    for address in ("rounds/00/teacher", "rounds/00/student", "rounds/01/student"):
        taught = learnt(run, address)
        assert {one: taught.get(one) for one in (right, wrong, bad)} == {
            right: given[right],
            wrong: rows[1]["suggested"],
            bad: None,
        }, address
    for number in ("00", "01"):
        kept = pd.read_parquet(run / f"rounds/{number}/select/selection.parquet")["id"]
        assert bad not in {f"{int(one):016x}" for one in kept}, "a rejected label does not come back as a pseudo-label"
    after = committed(run)
    main("resume", run)
    assert committed(run) == after
    assert "ok  reviews/0000" in main("verify", run)
    assert "of labels given before: 1 kept, 1 corrected, 1 rejected" in main("inspect", run)
    (shown,) = json.loads(main("inspect", run, "--json"))["reviews"]
    assert shown["given"] == {"kept": 1, "corrected": 1, "rejected": 1}
    assert shown["honoured_from"] == "rounds/00/teacher"
    again = {row["id"] for row in rows_of(export(Layout(run), 1, 100, run.parent / "again", "suspects") / "review.csv")}
    assert not again & {right, wrong, bad}


@pytest.fixture
def learnt(tmp_path: Path) -> Callable[[Path, str], dict[str, str]]:
    """Patch id -> class of what the given labels teach a finished training, from its own recipe."""
    from stages.job import Job
    from stages.train.task import read_task

    def of(run: Path, address: str) -> dict[str, str]:
        recipe = json.loads((run / address / "stage.json").read_text())["recipe"]
        there = [*(path for path in (run / address).parent.iterdir()), *(run / "data").iterdir()]
        there += [path.with_name(f"review_{path.name}") for path in (run / "reviews").glob("0*")]
        inputs = {
            role: run / "reviews" / role.removeprefix("review_") if role.startswith("review_") else path
            for path in there
            if (role := path.name) in recipe["inputs"]
        }
        assert "review_0000" in inputs
        job = Job(address, "train", int(address.split("/")[1]), 0, recipe["section"], inputs, *[tmp_path] * 3)
        task = read_task(job)
        classes = task.splits.classes
        pairs = zip(task.given.ids, task.given.target, strict=True)
        return {f"{int(one):016x}": classes[int(target.argmax())] for one, target in pairs}

    return of


def test_labels_that_cannot_be_doubted_and_labels_without_doubt_are_said(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Run.open(Layout(finished)).splits.labelled
    single = np.array([0, *np.flatnonzero(one.label != one.label[0])])
    with monkeypatch.context() as patched:
        patched.setattr(doubting, "_drawn", lambda run: GivenLabels(one.ids[single], one.label[single]))
        with pytest.raises(ChainError, match="cannot be judged") as caught:
            export(Layout(finished), 1, 5, tmp_path / "out", "suspects")
    assert caught.value.code == ExitCode.BAD_DATA
    monkeypatch.setattr(doubting, "suspected", lambda probs, given: (np.empty(0, np.int64), np.empty(0, np.int64)))
    with pytest.raises(ChainError, match="nothing to ask about") as caught:
        export(Layout(finished), 1, 5, tmp_path / "out", "suspects")
    assert caught.value.code == ExitCode.MISSING
    assert not (tmp_path / "out").exists()


def test_the_labelling_page_hands_them_out_too(run: Path) -> None:
    given = given_in(run)
    desk = Desk(Layout(run), None, 3, "suspects")
    asked = [item["id"] for item in desk.items()["items"]]
    assert set(asked) <= set(given)
    desk.label(asked[0], 0)
    other = Desk(Layout(run), None, 3)
    assert not {item["id"] for item in other.items()["items"]} & set(given), "each kind has its own sheet"
    assert Desk(Layout(run), None, 3, "suspects").items()["items"][0]["label"] == 0
    assert "1 kept" in " ".join(desk.save("Ana", dry=True)) or "corrected" in " ".join(desk.save("Ana", dry=True))


def test_the_report_does_not_doubt_what_a_person_has_said(run: Path, fill: Fill) -> None:
    sheet = export(Layout(run), 1, 1, None, "suspects") / "review.csv"
    (row,) = rows_of(sheet)
    import_review(Layout(run), fill(sheet, {row["id"]: given_in(run)[row["id"]]}), "Ana")
    opened = Run.open(Layout(run))
    assert opened.reviewed.ids.tolist() == [int(row["id"], 16)]
    some = Suspects("labelled", 9, opened.splits.labelled.ids, *[opened.splits.labelled.label] * 2, np.ones((20, 5)))
    assert len(some.without(opened.reviewed.ids)) == len(some) - 1
