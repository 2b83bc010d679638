"""What every cell of the table needs: the set, its features, its stand-ins for slides, and what was asked for."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_efficiency.chains import Machine
from benchmarks.label_efficiency.clusters import grouped
from benchmarks.label_efficiency.features import frozen_features
from benchmarks.label_efficiency.listing import Listing, listed
from benchmarks.label_efficiency.sizes import SIZES, SizeName
from data.errors import ChainError, ExitCode
from data.files.atomic import write_bytes

Say = Callable[[str], None]
GROUP = "group-"


@dataclass(frozen=True)
class Study:
    """What was asked for on the command line."""

    name: str
    into: Path
    data: Path
    weights: Path
    fractions: tuple[float, ...]
    seeds: tuple[int, ...]
    size: SizeName
    presets: tuple[str, ...]
    validation: tuple[float, ...]
    machine: Machine = field(default_factory=Machine)
    sets: Mapping[str, Any] = field(default_factory=dict)
    thin: Mapping[str, float] = field(default_factory=dict)
    groups: int = 0
    px: int = 0
    drop_stores: bool = False
    only_done: bool = False


@dataclass(frozen=True)
class Desk:
    """What every cell needs. features: (N, D) float32; colours: (N, A) float32."""

    study: Study
    listing: Listing
    features: np.ndarray
    colours: np.ndarray
    px: int


def prepared(study: Study, say: Say) -> Desk:
    """List the set, take frozen features, and group where there are neither patients nor slides; each done once."""
    study.into.mkdir(parents=True, exist_ok=True)
    size = SIZES[study.size]
    listing = listed(study.name, study.data, size.patches, study.into)
    if unknown := set(study.thin) - set(listing.classes):
        what = f"--thin: {', '.join(sorted(unknown))} is no class of {study.name}"
        raise ChainError(what, f"it has {', '.join(listing.classes)}", "correct the name", ExitCode.USAGE)
    px = study.px or size.px(listing.native_px)
    # features of the smallest size are from the same encoder: it is trained networks that are small there
    features_px = px if size.pretrained else 64
    features, histograms = frozen_features(listing, study.weights, features_px, study.into, _device(study.machine))
    if not listing.grouped and not (listing.split == "test").any():
        listing = listing.with_slides(_groups(study.into, histograms, listing.label))
    shown = f"{len(listing):,} patches of {listing.native_px} px as {px} px, {len(listing.classes)} classes"
    say(f"{shown}; {judged_by(listing)}")
    if listing.unusable:
        say(f"{listing.unusable:,} more are left out: {study.into / 'quarantine.csv'} says why")
    return Desk(study, listing, features, histograms, px)


def judged_by(listing: Listing) -> str:
    """In words, what is never divided."""
    if (listing.patient != "").any():
        return f"whole patients held out ({len(np.unique(listing.patient[listing.patient != '']))})"
    if (listing.slide != "").any():
        stand_ins = all(name.startswith(GROUP) for name in listing.slide)
        what = "groups of colour within each class, for want of slides," if stand_ins else "slides"
        return f"whole {what} held out ({len(np.unique(listing.slide))})"
    return "its own split (no patients or slides are known: neighbours may stand on both sides)"


def _groups(into: Path, histograms: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Kept once made: threads and versions may add up in another order, and one patch more is another hold-out."""
    path = into / "groups.json"
    if not path.is_file():
        found = grouped(histograms, label)
        write_bytes(path, json.dumps([f"{GROUP}{code:03d}" for code in found]).encode())
    return np.array(json.loads(path.read_bytes()), np.str_)


def _device(machine: Machine) -> str:
    import torch

    return "cuda" if machine.device != "cpu" and torch.cuda.is_available() else "cpu"


def about(desk: Desk, command: str) -> dict[str, Any]:
    """What results.json says of how it was made."""
    size = SIZES[desk.study.size]
    return {
        "command": command, "set": Path(desk.study.name).stem, "patches": len(desk.listing),
        "unusable": desk.listing.unusable,
        "px": desk.px,
        "native_px": desk.listing.native_px, "classes": desk.listing.classes, "judged_by": judged_by(desk.listing),
        "network": size.backbone, "size": asdict(size), "seeds": list(desk.study.seeds),
        "fractions": list(desk.study.fractions), "validation": list(desk.study.validation),
        "presets": list(desk.study.presets), "sets": dict(desk.study.sets),
        "thin": dict(desk.study.thin), "groups": desk.study.groups, "device": _device(desk.study.machine),
    }  # fmt: skip
