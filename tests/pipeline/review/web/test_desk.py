"""The sheet behind the labelling page: nothing that a person said is lost, and nothing stale is asked."""

import shutil
from pathlib import Path

import pytest

import run_chain
from data.errors import ChainError
from pipeline.directory.layout import Layout
from pipeline.review.importing import import_review
from pipeline.review.web.desk import Desk
from tests.pipeline.review.conftest import Fill

SHEET = "review.csv"


def desk(run: Path, n: int = 6) -> Desk:
    return Desk(Layout(run), None, n)


def ids_of(one: Desk) -> list[str]:
    return [item["id"] for item in one.items()["items"]]


def again(run: Path, start: str, *settings: str) -> None:
    sets = [word for setting in settings for word in ("--set", setting)]
    assert run_chain.main(["rerun", str(run), "--from", start, *sets, "--threads", "1", "--quiet"]) == 0


def labels_of(one: Desk) -> list[int | None]:
    return [item["label"] for item in one.items()["items"]]


def test_two_who_label_the_same_sheet_lose_no_label_of_each_other(run: Path) -> None:
    ana, ben = desk(run), desk(run)  # a program each, on one run directory
    ids = ids_of(ana)
    assert ids_of(ben) == ids
    for number, one in enumerate(ids):
        (ana, ben)[number % 2].label(one, number % 3)
    assert labels_of(desk(run)) == labels_of(ana) == labels_of(ben) == [0, 1, 2, 0, 1, 2]


def test_a_sheet_that_was_begun_is_gone_on_with_whatever_was_imported_meanwhile(
    run: Path, truth: dict[str, str], fill: Fill, tmp_path: Path
) -> None:
    ana = desk(run)
    ana.label(first := ids_of(ana)[0], 1)
    other = {one: label for one, label in truth.items() if one not in ids_of(ana)}
    assert run_chain.main(["review", "export", str(run), "--n", "40", "--out", str(tmp_path / "ben")]) == 0
    import_review(Layout(run), fill(tmp_path / "ben" / SHEET, other), "Ben")
    ana = desk(run)  # her program was ended, and started again
    assert (ids_of(ana)[0], labels_of(ana)[0]) == (first, 1)
    ana.save("Ana", dry=False)
    assert first not in ids_of(ana)


def test_what_is_handed_over_by_one_page_is_no_fault_of_another_that_is_still_open(run: Path) -> None:
    ana = desk(run)
    first, second, *_ = ids_of(ana)
    ana.label(first, 0)
    ana.save("Ana", dry=False)
    with pytest.raises(ChainError, match="no such patch or class"):
        ana.label(second, 0)  # from a second tab, before any sheet is opened again


def test_a_sheet_that_a_spreadsheet_saved_is_read_or_named(run: Path) -> None:
    ana = desk(run)
    ana.label(ids_of(ana)[0], 1)
    (sheet,) = (run / "exports").glob(f"page-*/{SHEET}")
    written = sheet.read_text()
    sheet.write_text(written, encoding="utf-8-sig")
    assert labels_of(desk(run)) == [1, None, None, None, None, None]
    sheet.write_text(written.replace(",", ";"))
    with pytest.raises(ChainError, match=str(sheet)) as caught:
        desk(run).items()
    assert "not by semicolons" in caught.value.why


def test_after_a_rerun_nobody_is_asked_by_what_an_earlier_teacher_said(run: Path) -> None:
    before = desk(run).items()["items"]
    again(run, "rounds/01/student")
    assert desk(run).items()["items"] == before, "the selection is the same: so is the sheet"
    again(run, "rounds/00/teacher", "teacher.steps=5")
    sheet = desk(run).items()
    shutil.copytree(run, fresh := run.with_name("fresh"))
    shutil.rmtree(fresh / "exports")
    assert sheet["items"] == desk(fresh).items()["items"] != before


def test_labels_of_patches_that_are_gone_stand_in_nobodys_way_and_are_told(run: Path) -> None:
    ana = desk(run)
    ana.label(ids_of(ana)[0], 1)
    (begun,) = (run / "exports").glob("page-*")
    again(run, "data/store", "data.sources.0.seed=9")  # the same names, other pixels
    ben = desk(run)
    assert labels_of(ben) == [None] * 6
    assert ben.items()["aside"] == [str(begun)]
    assert ",".join(["", desk(run).items()["classes"][1]]) in (begun / SHEET).read_text(), "it lies where it was"
    ben.label(ids_of(ben)[0], 1)
    assert "1 patches reviewed" in ben.save("Ben", dry=False)[0]


def test_a_sheet_of_a_stranger_shows_no_picture_of_another_folder(run: Path, tmp_path: Path) -> None:
    first = ids_of(ana := desk(run))[0]
    ana.label(first, 0)
    (sheet,) = run.glob(f"exports/page-*/{SHEET}")
    sheet.write_text(sheet.read_text().replace(f"\n{first},", "\n../../../../secret,"))  # not `image`
    (tmp_path / "secret.png").write_bytes(b"SECRET")
    page = desk(run)
    assert ids_of(page)[0] == "../../../../secret"
    assert page.picture("../../../../secret") is None
    assert page.picture(ids_of(page)[1]) is not None
