"""The whole table as cells, in the order of running: seeds first, so that an early stop leaves whole seeds."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_efficiency import configs, holdout
from benchmarks.label_efficiency.cells import Cell, Counted
from benchmarks.label_efficiency.chains import FailedError, chain_cell, splits_of
from benchmarks.label_efficiency.desk import Desk, Say
from benchmarks.label_efficiency.intervals import redrawn
from benchmarks.label_efficiency.listing import Listing
from benchmarks.label_efficiency.probes import PROBE, probe_cell
from benchmarks.label_efficiency.sizes import SIZES
from benchmarks.label_efficiency.summary import Found
from data.files.atomic import write_bytes

ALL = 1.0
Work = Callable[[], tuple[dict[str, Any], Counted]]


def cells(desk: Desk, say: Say, failed: list[dict[str, str]]) -> Iterator[Found]:
    """Every row of the table as it is finished, or found finished. Cells without a result are added to `failed`."""
    for seed in desk.study.seeds:
        side = _sides(desk, seed)
        for fraction in desk.study.fractions:
            for share in desk.study.validation:
                yield from _few(desk, seed, side, fraction, share, say, failed)
        yield from _all(desk, seed, side, say, failed)


def _few(
    desk: Desk, seed: int, side: np.ndarray, fraction: float, share: float, say: Say, failed: list[dict[str, str]]
) -> Iterator[Found]:
    available = holdout.counts(desk.listing, side)
    budgets = {name: holdout.budget(fraction, share, n) for name, n in available.items()}
    content = holdout.manifest(
        desk.listing,
        side,
        seed,
        {name: b[0] for name, b in budgets.items()},
        {name: b[1] for name, b in budgets.items()},
        desk.study.thin,
        desk.study.groups,
    )
    folder = desk.study.into / f"labels-{fraction:g}" / f"validation-{share:g}" / f"seed-{seed}"
    splits: Path | None = None
    for preset in desk.study.presets:
        cell, config = _chain(
            desk, folder / Path(preset).stem, preset, seed, content, _pool_a_class(content, desk.listing)
        )
        if found := _attempt(cell, _run_chain(desk, cell, config, content), say, failed, desk.study.only_done):
            yield from _rows(found, Path(preset).stem, fraction, share, seed)
        # a chain that failed late has its splits all the same
        splits = splits or (splits_of(cell) if splits_of(cell).is_dir() else None)
    for method in ("probe", "self_training"):
        yield from _probe(desk, folder / method, splits, method, fraction, share, seed, content, say, failed)


def _all(desk: Desk, seed: int, side: np.ndarray, say: Say, failed: list[dict[str, str]]) -> Iterator[Found]:
    content = holdout.manifest(desk.listing, side, seed, None, {})
    folder = desk.study.into / "labels-all" / f"seed-{seed}"
    cell, config = _chain(desk, folder / "same_network", desk.study.presets[0], seed, content, 1.0, ceiling=True)
    if found := _attempt(cell, _run_chain(desk, cell, config, content), say, failed, desk.study.only_done):
        yield from _rows(found, "all_network", ALL, 0.0, seed)
    splits = splits_of(cell) if splits_of(cell).is_dir() else None
    for name, method in (("probe", "all_probe"), ("colours", "all_colours")):
        yield from _probe(desk, folder / name, splits, method, ALL, 0.0, seed, content, say, failed)


def _chain(
    desk: Desk, place: Path, preset: str, seed: int, content: bytes, pool_a_class: float, ceiling: bool = False
) -> tuple[Cell, dict[str, Any]]:
    study, size = desk.study, SIZES[desk.study.size]
    data = configs.data_of(desk.listing, desk.px, "manifest.csv")
    # paths in the configuration are relative to it; the weights lie elsewhere
    weights = study.weights.absolute()
    config = configs.chain(configs.read_preset(preset), data, seed, size, weights, pool_a_class)
    config = configs.overridden(config, study.sets)
    if ceiling:
        config = configs.all_labels(config, data)
    signed = json.loads(json.dumps(config))
    # where things lie is no part of what was made
    signed["data"]["sources"][0].pop("root")
    for section in (signed["teacher"], signed["student"], signed["predict"].get("encoder") or {}):
        section.get("init", {}).pop("path", None)
    return Cell(place, {"config": signed, "manifest": hashlib.sha256(content).hexdigest()}), config


def _run_chain(desk: Desk, cell: Cell, config: dict[str, Any], content: bytes) -> Work:
    study = desk.study
    return partial(chain_cell, cell, config, content, desk.listing, study.machine, study.drop_stores)


def _probe(
    desk: Desk, place: Path, splits: Path | None, method: str, fraction: float, share: float, seed: int,
    content: bytes, say: Say, failed: list[dict[str, str]],
) -> Iterator[Found]:  # fmt: skip
    about = json.loads((desk.study.into / "features.json").read_bytes())
    about.pop("seconds")
    cell = Cell(place, {"method": method, **PROBE, "features": about, "manifest": hashlib.sha256(content).hexdigest()})
    if splits is None and cell.done() is None:
        return  # no chain has drawn what it would be given
    seen = desk.colours if method == "all_colours" else desk.features
    work = partial(probe_cell, cell, splits, desk.listing, seen, method)
    if found := _attempt(cell, work, say, failed, desk.study.only_done):
        yield from _rows(found, method, fraction, share, seed)


def _attempt(
    cell: Cell, work: Work, say: Say, failed: list[dict[str, str]], only_done: bool
) -> tuple[dict[str, Any], Counted] | None:
    known = cell.done() is not None
    if not known:
        if only_done:
            return None
        say(f"{cell.shown} ...")
    try:
        found = work()
    except FailedError as error:
        failed.append({"cell": cell.shown, "why": str(error)})
        say(f"{cell.shown}: {error}; the other cells go on")
        return None
    say(f"{cell.shown}: {_line(found[0])}{' (done before)' if known else ''}")
    return found


def _line(result: Mapping[str, Any]) -> str:
    parts = []
    for column in ("pool", "unseen"):
        figures = [f"{row[column]['balanced_accuracy']:.3f}" for row in result["rows"] if column in row]
        if figures:
            parts.append(f"{column} {' '.join(figures)}")
    return f"{', '.join(parts)} ({result['rows'][-1]['seconds']:,.0f} s)"


def _rows(
    found: tuple[dict[str, Any], Counted], method: str, fraction: float, share: float, seed: int
) -> Iterator[Found]:
    result, counted = found
    for row in result["rows"]:
        keys = {column: f"{row['round']}/{column}" for column in ("pool", "unseen")}
        own = {column: redrawn(counted[key], column) for column, key in keys.items() if key in counted}
        yield Found(method, fraction, share, seed, row["round"], result["labels"], row, own)


def _pool_a_class(content: bytes, listing: Listing) -> float:
    return sum(line.endswith(b",pool") for line in content.splitlines()) / len(listing.classes)


def _sides(desk: Desk, seed: int) -> np.ndarray:
    side = holdout.sides(desk.listing, seed)
    path = desk.study.into / f"held-out-seed-{seed}.json"
    write_bytes(path, json.dumps(holdout.summary(side, desk.listing.group), indent=1).encode())
    return side
