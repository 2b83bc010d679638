"""`review export`: the patches of a round that people are to look at, as pictures, a sheet and, for slides, GeoJSON."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import ChainError, ExitCode
from data.files.atomic import write_bytes, write_json
from data.patches.ids import id_text
from data.printable import harmless
from pipeline.directory.layout import Layout, command
from pipeline.directory.record import read_record
from pipeline.directory.workspace import refuse_no_new
from pipeline.plan import at
from pipeline.report.geojson import write_geojson
from pipeline.report.patches import Pictures
from pipeline.report.places import places
from pipeline.report.run import Run
from pipeline.review.choosing import Chosen, Pick, choose
from pipeline.review.sheet import SHEET, check_of, reject_word, write_sheet
from stages.select.selection import Selection

ABOUT, HOW, PICTURES, GEOJSON = "export.json", "HOW.txt", "images", "geojson"


def export(layout: Layout, number: int | None, n: int, out: Path | None, pick: Pick = "informative") -> Path:
    """Write a folder; returns it. The same run, round, n and pick give the same bytes. number: None: the newest round.

    Raises ChainError: 66 for a round without a selection, or where there is nothing to ask; 73 where `out` holds
    something, or a link would have it written outside the run directory; 65 where labels are too few to be doubted; 2
    for what is no name of a new folder.
    """
    if out is None:
        layout.refuse_ways_out()
    run = Run.open(layout)
    if number is None:
        if not run.numbers:
            raise _nothing(layout)
        number = run.numbers[-1]
    folder = out or layout.exports / f"round-{number:02d}-{pick}-{n}"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ChainError(
            f"{folder} is there already",
            "somebody may have filled in its sheet",
            "name another folder with --out, or remove this one",
            ExitCode.NOT_WRITABLE,
        )
    refuse_no_new(folder)
    known = run.reviewed.ids
    chosen = choose(run, number, n, pick, known)
    if not chosen:
        raise _nobody(run, number, pick)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        _write(run, number, chosen, pick, part)
        write_json(part / ABOUT, _about(run, number, n, pick, known))
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    if folder.is_dir():
        folder.rmdir()
    part.rename(folder)
    return folder


def said(folder: Path, layout: Layout) -> list[str]:
    """What to do with it, in words."""
    count = len(list((folder / PICTURES).iterdir()))
    return [
        f"{folder}: {count:,} patches in {SHEET}, their pictures in {PICTURES}/",
        f"fill in the column `label` ({HOW} says with what; a blank row is passed over), then:",
        command("review", "import", layout.root, folder / SHEET, "--by", "NAME"),
    ]


def rows_of(run: Run, number: int, chosen: list[Chosen]) -> list[dict[str, str]]:
    """Cells of the sheet, by column."""
    table, store = run.table, run.store
    at_row = store.rows(np.array([one.id for one in chosen], np.uint64)).tolist()
    rows = []
    for one, row in zip(chosen, at_row, strict=True):
        text, suggested = id_text(one.id), run.classes[one.suggested]
        first, second = map(int, table.pixels[row])
        cells = {
            "id": text,
            "image": f"{text}.png",
            "place": store.key(row),
            "slide": table.slide[row],
            "suggested": suggested,
            "why": one.why,
            "check": check_of(number, text, (first, second), harmless(suggested)),
        }
        probs = {f"p_{name}": f"{p:.3f}" for name, p in zip(run.classes, one.probs, strict=True)}
        rows.append(cells | probs)
    return rows


def _write(run: Run, number: int, chosen: list[Chosen], pick: Pick, folder: Path) -> None:
    write_sheet(folder / SHEET, run.classes, rows_of(run, number, chosen))
    write_bytes(folder / HOW, _how(run, pick).encode())
    (folder / PICTURES).mkdir()
    pictures = Pictures(run.store)
    for one in chosen:
        (folder / PICTURES / f"{id_text(one.id)}.png").write_bytes(pictures.png(one.id))
    found = places(run.store, run.table)
    if found is not None:
        # the report draws what a round selects: here a selection of what is asked about
        ids = np.array([one.id for one in chosen], np.uint64)
        label = np.array([one.suggested for one in chosen])
        confidence = np.array([one.probs[one.suggested] for one in chosen])
        write_geojson(run, Selection.of(ids, label, confidence, number), found, folder / GEOJSON)


def made_of(layout: Layout, number: int) -> dict[str, str]:
    """Digests of the steps that say what is believed of the pool in a round."""
    return {
        name: read_record(layout.place(at(number, name)), at(number, name), layout).digest
        for name in ("predict", "select")
    }


def _about(run: Run, number: int, n: int, pick: Pick, known: np.ndarray) -> dict[str, Any]:
    return {"format": 1, "round": number, "n": n, "pick": pick, "classes": list(run.classes),
            "reject": reject_word(run.classes), "made_of": made_of(run.layout, number),
            "reviewed_before": len(known)}  # fmt: skip


def _how(run: Run, pick: Pick) -> str:
    doubted = (
        "\nThe chain was given a label for each of these patches, which the column `why` names first, and doubts it.\n"
        "Write that class again where it is right: then it is not asked about any more.\n"
    )
    classes = "\n".join(f"    {harmless(name)}" for name in run.classes)  # as the sheet spells them
    return (
        f"Write into the column `label` of {SHEET} what a patch is, one of\n\n{classes}\n\n"
        f"or `{reject_word(run.classes)}` for a patch that is of no use (blurred, folded, empty, two things at once).\n"
        "Leave the cell blank where you cannot tell, and leave the other columns as they are: the column `check`\n"
        "binds a row to its picture, so that rows may be sorted, but only all columns together.\n"
        + (doubted if pick == "suspects" else "")
    )


def _nobody(run: Run, number: int, pick: Pick) -> ChainError:
    which = "given label that trains is in doubt" if pick == "suspects" else "patch of the pool is left"
    return ChainError(
        f"{run.layout.root}: round {number} has nothing to ask about",
        f"no {which}, or each was reviewed already",
        "choose another round with --round, or other patches with --pick",
        ExitCode.MISSING,
    )


def _nothing(layout: Layout) -> ChainError:
    return ChainError(
        f"{layout.root}: no round has a selection yet",
        "there is nothing to review before a teacher has labelled the pool",
        "wait for the select step of round 0; see `status`",
        ExitCode.MISSING,
    )
