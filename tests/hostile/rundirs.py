"""Run directories of elsewhere: links, records and cards that name places outside."""

import json
import os
from pathlib import Path

from tests.hostile.case import Deed, Place, case, several
from tests.hostile.laying import chain, good


def _begun(place: Place) -> None:
    """A run directory that was begun, with its configuration, as `resume` wants it."""
    from pipeline.config.reading import dump, load_config

    chain(place, {"kind": "tree", "path": good(place.inside / "src")})
    place.run.mkdir()
    (place.run / "config.yaml").write_text(dump(load_config(place.inside / "c.yaml")))


WRITTEN = [
    "logs",
    ".staging",
    ".trash",
    ".ranks",
    "rounds",
    "data",
    "rounds/00",
    "logs/data",
    ".staging/data-store",
    "ledger.jsonl",
    "exports",
    "reviews",
    "report",
    "report/geojson/round-00",
]


@several(73, "leads out of", WRITTEN)
def link(place: Place, name: str) -> Deed:
    _begun(place)
    (place.run / name).parent.mkdir(exist_ok=True, parents=True)
    (place.run / name).symlink_to(place.secret if "." in name[1:] else place.outside)
    return ["resume", place.run]


VERBS = {
    "report": "report {run}",
    "report/geojson/round-00": "report {run}",  # whatever else ends in .geojson is removed there
    "logs": "report {run} --logger tensorboard",
    "exports": "review export {run}",
    "reviews": "review import {run} {sheet} --by nobody",
    "exports/page-00-8": "serve {run}",
}


@several(73, "leads out of", list(VERBS))
def link_that_is_written_through(place: Place, name: str) -> Deed:
    """By the verbs that change no step."""
    _begun(place)
    (place.run / name).parent.mkdir(exist_ok=True, parents=True)
    (place.run / name).symlink_to(place.outside)
    return VERBS[name].format(run=place.run, sheet=place.inside / "sheet.csv").split()


@several(73, "leads out of", [".quarantine.csv.part", "quarantine.csv", ".patches.h5.part"])
def unfinished(place: Place, name: str) -> Deed:
    _begun(place)
    staging = place.run / ".staging" / "data-store" / "out"
    staging.mkdir(parents=True)
    (staging / name).symlink_to(place.outside / "made")
    return ["resume", place.run]


@case(65, "no image|not a")
def temporary(place: Place) -> Deed:
    """A link under the name of a temporary file: what it leads to is not made, nor opened."""
    (source := good(place.inside / "src")).joinpath("A", "evil.png").write_bytes(b"GIF89a")
    place.run.mkdir()
    (place.run / ".config.yaml.part").symlink_to(place.outside / "made")
    return chain(place, {"kind": "tree", "path": source})


def _committed(place: Place, files: dict[str, dict[str, object]]) -> Path:
    _begun(place)
    store = place.run / "data" / "store"
    store.mkdir(parents=True)
    record = {"format": 1, "address": "data/store", "kind": "ingest", "recipe": {"kind": "ingest"}, "files": files}
    (store / "stage.json").write_text(json.dumps(record))
    return store


@several(76, "damaged", ["../../../outside/secret", "/etc/passwd", "a/../../../../outside/secret", "..", "x\x1b[2J"])
def record(place: Place, name: str) -> Deed:
    _committed(place, {name: {"sha256": "0" * 64, "bytes": 6}})
    return ["verify", place.run]


@several(76, "damaged", ["Infinity", "1.5", "true", "null"])
def record_with_a_size_of(place: Place, size: str) -> Deed:
    store = _committed(place, {"x": {"sha256": "0" * 64, "bytes": 6}})
    (store / "stage.json").write_text((store / "stage.json").read_text().replace("6}", f"{size}}}"))
    return ["verify", place.run]


@several(76, "missing", ["verify", "resume"])
def record_that_is_a_pipe(place: Place, verb: str) -> Deed:
    """Nobody waits for who writes into it."""
    store = _committed(place, {})
    (store / "stage.json").unlink()
    os.mkfifo(store / "stage.json")
    return [verb, place.run]


@case(0, "not running")
def looked_at_a_lock_that_is_a_pipe(place: Place) -> Deed:
    _begun(place)
    os.mkfifo(place.run / "chain.lock")
    return ["status", place.run]


@case(76, "stage.json")
def record_of_another_kind(place: Place) -> Deed:
    store = _committed(place, {})
    (store / "stage.json").write_text("[" * 200_000)
    return ["verify", place.run]


@several(78, r"config\.yaml( line \d+)?: ", ["a tag", "no number"])
def run_configuration(place: Place, name: str) -> Deed:
    _begun(place)
    (place.run / "config.yaml").unlink()
    if name == "a tag":
        (place.run / "config.yaml").write_text("rounds: !!python/object/apply:os.system [touch evil]\n")
    else:
        (place.run / "config.yaml").write_text("rounds: {x: 1}\n")
    return ["status", place.run]


CARD = {"name": "test_resnet", "timm_kwargs": {"num_classes": 2}, "classes": ["a", "b"], "size_px": 16, "mode": "rgb8",
        "mean": [0.5], "std": [0.5], "weights": "w", "input": "i"}  # fmt: skip


@several(76, "no description", ["checkpoint_path", "pretrained_cfg_overlay", "member"])
def card(place: Place, name: str) -> Deed:
    change = {"timm_kwargs": {name: str(place.secret)}}
    if name == "member":
        member = {"name": "test_resnet", "timm_kwargs": {}, "mean": [0.5], "std": [0.5], "file": "../outside/secret"}
        change = {"members": [member]}  # type: ignore[dict-item]
    (place.inside / "model.json").write_text(json.dumps(CARD | change))

    def deed() -> None:
        from stages.networks.create import load_network

        load_network(place.inside)

    return deed


@case(76, "link")
def scores(place: Place) -> Deed:
    import h5py

    with h5py.File(place.outside / "other.h5", "w") as file:
        file["ids"] = [1]
    with h5py.File(place.inside / "scores.h5", "w") as file:
        file["pool/ids"] = h5py.ExternalLink(str(place.outside / "other.h5"), "/ids")

    def deed() -> None:
        from stages.scores import read_scores

        read_scores(place.inside / "scores.h5", "pool")

    return deed
