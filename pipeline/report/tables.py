"""The tables beside the page, for notebooks. Columns are documented in docs/report.md."""

import csv
import io
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.files.atomic import replacing, write_bytes
from data.printable import harmless
from data.splits.written import SPLITS
from pipeline.report.geojson import write_geojson
from pipeline.report.likeness import Likeness
from pipeline.report.measures import shares
from pipeline.report.places import SLIDE, Places
from pipeline.report.run import Round, Run
from pipeline.report.suspects import Suspects
from pipeline.report.verdict import Verdict

MOST_FEATURES = 2_000_000  # of all GeoJSON together: 0.7 GB
CLASS_FIGURES = (
    "predicted", "kept", "pseudo_labels", "coverage", "confidence_mean", "confidence_p10", "calibration_error",
    "share_kept", "share_labels", "churn", "kept_churn", "top5_share",
)  # fmt: skip

TABLES = {"models.csv", "classes.csv", "places.csv", "pool.parquet", "suspects.csv", "map.parquet"}
MODELS = ("model", "address", "rounds", "split", "metric", "value", "low", "high", "accuracy", "auroc")
CLASSES = ("round", "class", *CLASS_FIGURES, "disagreement", "audit_precision", "audit_recall")
PLACES = ("round", "kind", "name", "pool", "kept", "outlier")
SUSPECTS = ("split", "id", "given", "looks_like", "p_given", "p_looks_like", "slide", "patient", "place")


def write_tables(
    run: Run,
    judged: Verdict,
    seen: Likeness | None,
    doubted: Sequence[Suspects],
    placed: Places | None,
    last: Round | None,
    shown: Sequence[int],
    folder: Path,
) -> list[tuple[str, str]]:
    """Write what there is; returns (name in the folder, what it holds). shown: rounds that the page shows."""
    found: list[tuple[str, str]] = []
    if judged.models:
        _csv(folder / "models.csv", MODELS, _models(judged))
        found.append(("models.csv", "every model on validation and test, with intervals"))
    if last is not None:
        _csv(folder / "classes.csv", CLASSES, _classes(run))
        _csv(folder / "places.csv", PLACES, _places(run, last))
        _pool(run, last, folder / "pool.parquet")
        found += [
            ("classes.csv", "every round and class: the figures above"),
            ("places.csv", f"every slide, patient and site in round {last.number}: patches in the pool and kept"),
            ("pool.parquet", f"every pool patch in round {last.number}: class, confidence, kept or not, since when"),
        ]
    if doubted:
        _csv(folder / "suspects.csv", SUSPECTS, _suspects(run, doubted))
        found.append(("suspects.csv", "given labels that look wrong, all of them"))
    if seen is not None:
        _map(run, seen, folder / "map.parquet")
        found.append(("map.parquet", "the sample on the map: place, split, distance to the nearest label"))
    for name in TABLES - dict(found).keys():
        (folder / name).unlink(missing_ok=True)  # of an earlier report, before steps were made again
    if placed is not None and placed.kind == SLIDE:
        found += _geojson(run, placed, shown, folder / "geojson")
    return found


def _geojson(run: Run, placed: Places, shown: Sequence[int], folder: Path) -> Iterable[tuple[str, str]]:
    """A folder a round, the newest first, as far as MOST_FEATURES reaches; the newest is always whole."""
    found: dict[Path, tuple[str, str]] = {}
    written = 0
    for number in sorted(shown, reverse=True):
        chosen = run.selection(number)
        written += len(chosen)
        if found and written > MOST_FEATURES:
            break
        place = folder / f"round-{number:02d}"
        files = write_geojson(run, chosen, placed, place)
        found[place] = (f"geojson/{place.name}/", f"for QuPath: what round {number} kept, {len(files):,} slides")
    for old in set(folder.glob("round-[0-9][0-9]")) - set(found):
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)  # of an earlier report, before the round was made again
    return reversed(found.values())


def _models(judged: Verdict) -> Iterable[dict[str, Any]]:
    for model in judged.models:
        for split, figure in model.figures.items():
            if figure.value is not None:
                yield {
                    "model": model.name, "address": model.address, "rounds": model.after, "split": split,
                    "metric": judged.metric, "value": figure.value, "low": figure.low, "high": figure.high,
                    **{name: (model.metrics.get(split) or {}).get(name) for name in ("accuracy", "auroc")},
                }  # fmt: skip


def _classes(run: Run) -> Iterable[dict[str, Any]]:
    for one in run.found["rounds"]:
        disagreement = (one["disagreement"] or {}).get("per_class") or {}
        for row in one["quality"]["per_class"]:
            audit = row.get("audit") or {}
            yield {
                "round": one["round"], "class": row["class"], **{name: row.get(name) for name in CLASS_FIGURES},
                "disagreement": disagreement.get(row["class"]),
                "audit_precision": audit.get("precision"), "audit_recall": audit.get("recall"),
            }  # fmt: skip


def _places(run: Run, last: Round) -> Iterable[dict[str, Any]]:
    for owner in (run.slides, run.patients, run.sites):
        found = shares(owner.code[last.rows], last.kept)
        for code, pool, kept, outlier in zip(found.code, found.pool, found.kept, found.outlier, strict=True):
            yield {
                "round": last.number, "kind": owner.kind, "name": owner.names[int(code)], "pool": int(pool),
                "kept": int(kept), "outlier": bool(outlier),
            }  # fmt: skip


def _suspects(run: Run, doubted: Sequence[Suspects]) -> Iterable[dict[str, Any]]:
    for part in doubted:
        rows = run.store.rows(part.ids) if len(part) else np.empty(0, np.int64)
        for k, row in enumerate(rows):
            given, looks = int(part.given[k]), int(part.looks[k])
            yield {
                "split": part.split, "id": f"{int(part.ids[k]):016x}", "given": run.classes[given],
                "looks_like": run.classes[looks], "p_given": round(float(part.probs[k, given]), 6),
                "p_looks_like": round(float(part.probs[k, looks]), 6), "slide": run.table.slide[row],
                "patient": run.table.patient[row], "place": run.store.key(int(row)),
            }  # fmt: skip


def _pool(run: Run, last: Round, path: Path) -> None:
    _parquet(
        path,
        {
            "id": last.pool.ids,
            "predicted": _named(last.predicted, run.classes),
            "confidence": last.confidence,
            "margin": last.margin,
            "kept": last.kept,
            "first_round": last.first_round,
        },
    )


def _map(run: Run, seen: Likeness, path: Path) -> None:
    far = np.zeros(len(seen.ids), bool)
    far[seen.far] = True
    _parquet(
        path,
        {
            "id": seen.ids,
            "x": seen.xy[:, 0].astype(np.float32),
            "y": seen.xy[:, 1].astype(np.float32),
            "split": np.where(seen.labelled, SPLITS[0], SPLITS[1]),
            "label": _named(seen.label, run.classes),
            "distance": seen.distance.astype(np.float32),
            "far": far,
        },
    )


def _named(codes: np.ndarray, classes: Sequence[str]) -> Any:
    """Class names, null for -1, as a dictionary column."""
    import pyarrow as pa

    indices = pa.array(codes.astype(np.int16), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(classes), pa.string()))


def _parquet(path: Path, columns: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with replacing(path) as part:
        pq.write_table(pa.table(columns), part)


def _csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """A header always: a table without rows is a table, and opens as one."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        # people open these in a spreadsheet
        writer.writerow({name: harmless(value) if isinstance(value, str) else value for name, value in row.items()})
    write_bytes(path, out.getvalue().encode("utf-8", "backslashreplace"))
