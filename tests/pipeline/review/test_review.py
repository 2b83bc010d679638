"""From an export over a sheet to a chain that honours it: nothing is half taken, nothing held out is touched."""

import csv
import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import run_chain
from data.errors import ChainError, ExitCode
from data.printable import harmless
from data.splits.written import load_splits
from data.store.patch_store import PatchStore
from pipeline.directory.layout import Layout
from pipeline.review.exporting import HOW, export
from pipeline.review.importing import import_review
from pipeline.review.sheet import check_of, read_sheet, reject_word, words, write_sheet
from tests.fake_stages import committed, everything
from tests.pipeline.review.conftest import Fill

Rows = list[dict[str, str]]


def rows_of(sheet: Path) -> Rows:
    with sheet.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rewrite(sheet: Path, rows: Rows) -> None:
    with sheet.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def refused(run: Path, sheet: Path, **more: bool) -> ChainError:
    before = everything(run)
    with pytest.raises(ChainError) as caught:
        import_review(Layout(run), sheet, "Ana", **more)
    after = everything(run)
    after.pop("reviews.lock", None)
    before.pop("reviews.lock", None)
    assert after == before, "all or nothing"
    return caught.value


def test_an_export_that_fails_leaves_nothing(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.report.patches.Pictures.png", full)
    with pytest.raises(OSError, match="No space"):
        export(Layout(finished), 1, 5, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_a_function_of_the_run_and_shows_what_it_says(finished: Path, tmp_path: Path) -> None:
    one, two = (export(Layout(finished), 1, 12, tmp_path / name) for name in ("one", "two"))
    assert everything(one) == everything(two)
    rows = rows_of(one / "review.csv")
    splits = load_splits(finished / "data/splits")
    store = PatchStore(finished / "data/store/patches.h5")
    assert len({row["id"] for row in rows}) == 12
    for row in rows:
        assert int(row["id"], 16) in set(splits.pool.tolist())
        (at,) = store.rows(np.array([int(row["id"], 16)], np.uint64))
        seen = cv2.imread(str(one / "images" / row["image"]))[:, :, ::-1]
        assert np.array_equal(seen, store.pixels(int(at)))
        assert row["place"] == store.key(int(at))
        assert row["label"] == ""
        shares = [float(row[f"p_{name}"]) for name in splits.classes]
        assert sum(shares) == pytest.approx(1, abs=0.01)
        assert splits.classes[int(np.argmax(shares))] == row["suggested"] or shares.count(max(shares)) > 1
    assert not list(one.glob("geojson/*"))  # patches drawn one by one lie on no slide
    with pytest.raises(ChainError, match="is there already"):
        export(Layout(finished), 1, 12, one)


def test_a_random_draw_is_another_one_and_no_less_repeatable(finished: Path, tmp_path: Path) -> None:
    asked, drawn, again = (
        rows_of(export(Layout(finished), 0, 5, tmp_path / str(n), pick) / "review.csv")
        for n, pick in enumerate(("informative", "random", "random"))
    )
    assert drawn == again
    assert {row["id"] for row in asked} != {row["id"] for row in drawn}


def test_a_round_without_a_selection_is_named(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="round 7 has no selection") as caught:
        export(Layout(finished), 7, 12, tmp_path / "none")
    assert caught.value.code == ExitCode.MISSING
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", [".", "link"])
def test_what_no_folder_can_be_put_in_place_of_is_refused(
    name: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    monkeypatch.chdir(tmp_path if name == "link" else tmp_path / "empty")
    with pytest.raises(ChainError, match=f"{name} cannot be made") as caught:
        export(Layout(finished), 1, 12, Path(name))
    assert caught.value.code == ExitCode.USAGE


def test_a_reviewed_label_survives_import_resume_rerun_and_promotion(
    run: Path, truth: dict[str, str], fill: Fill, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(*words: object) -> str:
        assert run_chain.main([str(word) for word in words]) == 0
        return capsys.readouterr().out

    main("review", "export", run, "--round", 0, "--n", 12)
    sheet = run / "exports/round-00-informative-12/review.csv"
    ids = [row["id"] for row in rows_of(sheet)]
    said = {one: truth[one] for one in ids[:8]} | dict.fromkeys(ids[8:10], "reject")
    fill(sheet, said)
    before = committed(run)
    told = main("review", "import", run, sheet, "--by", "Ana", "--dry-run")
    assert not (run / "reviews").exists()
    assert "10 patches reviewed by Ana" in told
    assert "2 rejected" in told
    told = main("review", "import", run, sheet, "--by", "Ana")
    assert f"rerun {run} --from rounds/00/select" in told
    assert "the chain has ended" in told
    main("resume", run)
    assert committed(run) == before, "a finished chain is not changed by a review"
    assert "nothing new" in main("review", "import", run, sheet, "--by", "Ana")

    main("rerun", run, "--from", "rounds/00/select", "--threads", 1)
    splits = load_splits(run / "data/splits")
    held = {f"{int(one):016x}" for given in (splits.validation, splits.test) for one in given.ids}
    assert not held & set(said)
    for number in ("00", "01"):
        kept = pd.read_parquet(run / f"rounds/{number}/select/selection.parquet")["id"]
        assert not {f"{int(one):016x}" for one in kept} & set(said)
        quality = json.loads((run / f"rounds/{number}/select/quality.json").read_text())
        assert quality["pool"] == len(splits.pool) - 10
        assert sum(quality["reviewed"]["labels"].values()) == 8
        assert quality["reviewed"]["rejected"] == 2
    after = committed(run)
    main("resume", run)
    assert committed(run) == after
    assert "ok  reviews/0000" in main("verify", run)
    assert "Ana" in main("inspect", run)
    (shown,) = json.loads(main("inspect", run, "--json"))["reviews"]
    assert (shown["honoured_from"], shown["honoured"], shown["rounds"]) == ("rounds/00/select", True, [0])
    # asked again, of any round, never about the same
    folder = export(Layout(run), 1, 400, run.parent / "again")
    again = {row["id"] for row in rows_of(folder / "review.csv")}
    assert len(again) == len(splits.pool) - 10
    assert not again & set(said)


def test_the_training_learns_what_people_said(run: Path, truth: dict[str, str], fill: Fill, tmp_path: Path) -> None:
    from stages.job import Job
    from stages.train.task import read_task

    sheet = export(Layout(run), 1, 12, None) / "review.csv"
    ids = [row["id"] for row in rows_of(sheet)]
    import_review(Layout(run), fill(sheet, {one: truth[one] for one in ids[:6]} | {ids[6]: "reject"}), "Ana")
    section = json.loads((run / "rounds/01/student/stage.json").read_text())["recipe"]["section"]
    inputs = {name: run / f"data/{name}" for name in ("store", "splits")}
    inputs |= {name: run / f"rounds/01/{name}" for name in ("teacher", "predict", "select")}
    inputs["review_0000"] = run / "reviews/0000"
    task = read_task(Job("rounds/01/student", "train", 1, 0, section, inputs, tmp_path, tmp_path, tmp_path))
    classes = task.splits.classes
    learnt = {
        f"{int(one):016x}": classes[int(t.argmax())] for one, t in zip(task.given.ids, task.given.target, strict=True)
    }
    assert {one: learnt.get(one) for one in ids[:6]} == {one: truth[one] for one in ids[:6]}
    assert task.pseudo is not None
    taught = {f"{int(one):016x}" for one in (*task.given.ids, *task.pseudo.ids)}
    assert ids[6] not in taught
    assert not set(ids[:6]) & {f"{int(one):016x}" for one in task.pseudo.ids}


def broken(change: Callable[[Rows, Path], None], words: str) -> tuple[Callable[[Rows, Path], None], str]:
    return change, words


def other_run(rows: Rows, run: Path) -> None:
    rows[0]["id"], rows[0]["image"] = "0123456789abcdef", "0123456789abcdef.png"


def of_test(rows: Rows, run: Path) -> None:
    one = f"{int(load_splits(run / 'data/splits').test.ids[0]):016x}"
    rows[0]["id"], rows[0]["image"] = one, f"{one}.png"


def twice(rows: Rows, run: Path) -> None:
    rows.append(rows[0] | {"label": "necrosis" if rows[0]["label"] != "necrosis" else "gland"})


def apart(rows: Rows, run: Path) -> None:
    ids = [row["id"] for row in rows]
    for row, one in zip(rows, ids[1:] + ids[:1], strict=True):
        row["id"] = one


BROKEN = {
    "unknown class": broken(lambda rows, run: rows[0].update(label="tumor"), "did you mean 'tumour'?"),
    "no class at all": broken(lambda rows, run: rows[0].update(label="???"), "the words are gland"),
    "another run": broken(other_run, "is not of this run"),
    "test patch": broken(of_test, "belongs to test, which never teaches"),
    "contradiction": broken(twice, "is 'necrosis' here and"),
    "one column sorted": broken(apart, "columns sorted apart"),
    "suggestion edited": broken(lambda rows, run: rows[0].update(suggested="benign"), "check"),
    "check removed": broken(lambda rows, run: rows[0].update(check=""), "the column `check`"),
    "no id": broken(lambda rows, run: rows[0].update(id="1,2E+15", image="x"), "is no patch id"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_sheet_with_anything_wrong_is_refused_whole(
    name: str, finished: Path, truth: dict[str, str], fill: Fill, tmp_path: Path
) -> None:
    change, said = BROKEN[name]
    sheet = fill(export(Layout(finished), 1, 8, tmp_path / "out") / "review.csv", dict(truth))
    rows = rows_of(sheet)
    if name == "contradiction":
        rows[0]["label"] = "gland"
    change(rows, finished)
    rewrite(sheet, rows)
    error = refused(finished, sheet)
    assert said in error.what + error.why
    assert error.code == ExitCode.BAD_DATA
    assert all(len(line) <= 400 for line in error.lines())


def test_the_sheet_of_another_run_has_as_many_labels_refused_as_it_has(
    finished: Path, truth: dict[str, str], fill: Fill, tmp_path: Path
) -> None:
    sheet = fill(export(Layout(finished), 1, 4, tmp_path / "out") / "review.csv", dict(truth))
    rows = rows_of(sheet)
    for row in rows:
        row["id"] = row["id"][::-1]  # of no patch here, so in no split either
    rewrite(sheet, rows)
    assert refused(finished, sheet).why.startswith("4 of 4 labels are refused")


def test_what_spreadsheets_do_to_a_sheet_is_undone(run: Path, truth: dict[str, str], fill: Fill) -> None:
    sheet = fill(export(Layout(run), 1, 8, None) / "review.csv", dict(truth))
    rows = rows_of(sheet)
    said = {row["id"]: row["label"] for row in rows}
    rows[0]["id"] = "1.2345E+15"  # an id of digits and one e
    rows[1]["label"] = f"  {rows[1]['label'].upper()} "
    rows.append(dict(rows[2]))  # the same once more
    rows.insert(3, dict.fromkeys(rows[0], ""))  # a blank row, which is saved as commas
    rewrite(sheet, list(reversed(rows)))
    sheet.write_bytes(b"\xef\xbb\xbf" + sheet.read_bytes())
    import_review(Layout(run), sheet, "Ana")
    found = pd.read_parquet(run / "reviews/0000/labels.parquet")
    assert {f"{int(one):016x}": label for one, label in zip(found["id"], found["label"], strict=True)} == said


def test_an_earlier_review_is_changed_only_when_asked(run: Path, truth: dict[str, str], fill: Fill) -> None:
    sheet = export(Layout(run), 1, 8, None) / "review.csv"
    ids = [row["id"] for row in rows_of(sheet)]
    import_review(Layout(run), fill(sheet, {ids[0]: "gland", ids[1]: "reject"}), "Ana")
    fill(sheet, {ids[0]: "tumour", ids[1]: "reject", ids[2]: "stroma"})
    assert f"{ids[0]} was reviewed as 'gland' before" in refused(run, sheet).what
    lines = import_review(Layout(run), sheet, "Ben", revise=True)
    assert "1 said so before, 1 change an earlier review" in " ".join(lines)
    assert len(pd.read_parquet(run / "reviews/0001/labels.parquet")) == 2


def test_a_name_is_asked_for_and_nothing_blank_is_taken(finished: Path, tmp_path: Path) -> None:
    sheet = export(Layout(finished), 1, 4, tmp_path / "out") / "review.csv"
    for name in ("", "  ", "x" * 81, "An\x1ba"):
        with pytest.raises(ChainError) as caught:
            import_review(Layout(finished), sheet, name)
        assert caught.value.code == ExitCode.USAGE
    assert "4 are blank" in import_review(Layout(finished), sheet, "Ana")[0]
    with pytest.raises(ChainError) as caught:
        import_review(Layout(finished), tmp_path / "no.csv", "Ana")
    assert caught.value.code == ExitCode.MISSING


def test_a_pool_is_not_reviewed_away(run: Path, truth: dict[str, str], fill: Fill) -> None:
    sheet = fill(export(Layout(run), 1, 10_000, None) / "review.csv", dict(truth))
    assert "no patch in the pool" in refused(run, sheet).what


def test_a_check_of_another_picture_is_refused(run: Path, truth: dict[str, str], fill: Fill, tmp_path: Path) -> None:
    sheet = fill(export(Layout(run), 1, 4, tmp_path / "out") / "review.csv", dict(truth))
    rows = rows_of(sheet)
    rows[0]["check"] = rows[0]["check"][:4] + ("0" if rows[0]["check"][4] != "0" else "1") + rows[0]["check"][5:]
    rewrite(sheet, rows)
    assert "check is of another patch" in refused(run, sheet).what


def test_a_class_called_reject_has_its_own_word() -> None:
    assert reject_word(("tumour", "Reject")) == "reject patch"
    known = words(("tumour", "Reject"))
    assert (known["Reject"], known["reject"], known["reject patch"]) == (1, 1, -1)
    assert words(("a", "A")).get("a") == 0
    assert words(("=cmd", "b"))["'=cmd"] == 0


def test_hostile_names_are_text_in_sheet_and_log(
    run: Path, truth: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = export(Layout(run), 1, 4, None)
    rows = rows_of(folder / "review.csv")
    rows[0]["label"] = "\x1b[2J=HYPERLINK(1)"
    rewrite(folder / "review.csv", rows)
    assert (
        run_chain.main(["review", "import", str(run), str(folder / "review.csv"), "--by", "Ana"]) == ExitCode.BAD_DATA
    )
    assert "\x1b" not in capsys.readouterr().err


def test_a_killed_import_leaves_nothing_and_the_next_one_takes_its_number(
    run: Path, truth: dict[str, str], fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.directory import reviews as holding

    sheet = fill(export(Layout(run), 1, 4, None) / "review.csv", dict(truth))
    seal = holding.seal

    def dying(directory: Path, address: str, recipe: dict[str, str]) -> None:
        seal(directory, address, recipe)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(holding, "seal", dying)
        with pytest.raises(KeyboardInterrupt):
            import_review(Layout(run), sheet, "Ana")
    assert run_chain.main(["resume", str(run), "--quiet"]) == 0
    assert holding.addresses(Layout(run)) == []
    import_review(Layout(run), sheet, "Ana")
    assert holding.addresses(Layout(run)) == ["reviews/0000"]
    assert not list((run / "reviews").glob(".*"))
    shutil.rmtree(run / "exports")  # a sheet is no part of a run
    assert run_chain.main(["verify", str(run)]) == 0


def test_a_class_whose_name_begins_or_ends_with_a_blank_is_known_on_its_own_sheet(tmp_path: Path) -> None:
    classes, one = (" lead", "trail ", "=1 "), "00000000000000a1"
    rows = [
        {
            "id": one, "image": f"{one}.png", "suggested": name, "label": name,
            "check": check_of(1, one, (1, 2), harmless(name)),
        }
        for name in classes
    ]  # fmt: skip
    write_sheet(tmp_path / "review.csv", classes, rows)
    for code, row in enumerate(read_sheet(tmp_path / "review.csv")):
        assert check_of(row.round, one, (1, 2), row.suggested) == row.check
        assert words(classes)[row.label] == code


def test_what_people_read_beside_a_sheet_commands_no_terminal(run: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("pipeline.report.run.Run.classes", ("\x1b[2Jred", "=cmd()", "c", "d", "e"))
    said = (export(Layout(run), 1, 4, tmp_path / "out") / HOW).read_text()
    assert all(line.isprintable() for line in said.splitlines())
    for word in ("\\x1b[2Jred", "'=cmd()"):
        assert f"    {word}\n" in said
        assert word in words(("\x1b[2Jred", "=cmd()"))
