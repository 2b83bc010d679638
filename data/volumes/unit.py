"""One CT volume to a patch store: read, placed, sampled, labelled, shown."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data.errors import ChainError, ExitCode
from data.files.atomic import write_bytes
from data.in_order import in_order
from data.patches.ids import patch_id
from data.patches.quarantine import Quarantined, check_limit, write_quarantine
from data.patches.record import Record
from data.pixels.bad_patch import BadPatch
from data.pixels.decode import pixel_digest
from data.preparation import Progress, Unit
from data.prepared import QUARANTINE, STORE, THUMBNAIL
from data.store.writer import writing_store
from data.volumes.config import AtPoints, Grid, VolumesConfig
from data.volumes.labelling import Labelling, known_labels, labelling
from data.volumes.listing import Listed, listed_again
from data.volumes.masks import read_mask
from data.volumes.montage import Mark, montage
from data.volumes.placing import Place, grid_places, point_places, region_map
from data.volumes.reading import read_volume
from data.volumes.sampling import Sampler
from data.volumes.volume import Volume

SOURCE, PART = "volumes", "split"
CHUNK = 8  # patches a task


class _Taken(NamedTuple):
    hu: np.ndarray
    digest: tuple[int, int]
    record: Record


def prepare_volume(
    config: VolumesConfig, unit: Unit, out: Path, threads: int, progress: Progress, key: bytes
) -> dict[str, Any]:
    """Write patches.h5, quarantine.csv and thumbnail.jpg of one volume; returns its facts.

    Raises ChainError: what reading raises, no patch, too many in quarantine.
    """
    one = listed_again(config, unit, key)
    progress(0, 0)
    volume = read_volume(one.found, config.accept).oriented()
    progress(0, 0)
    lattice = config.lattice
    region = region_map(config, one, volume)
    if isinstance(config.where, Grid):
        places = grid_places(config.where, volume, lattice, region, unit.shown, progress)
    else:
        places = point_places(volume, lattice, one.points)
    mask = read_mask(one.label, volume, unit.shown, "labels.masks", config.accept) if one.label else None
    seen = [(_in_frame(volume, point.zyx_mm), point) for point in one.points]
    rule = labelling(config, lattice, one.row.label, mask, seen, volume.spacing_mm[2])
    progress(0, len(places))
    sampler = Sampler(volume.hu, volume.spacing_mm, lattice, config.smooth, max(1, threads))
    take = _Taker(config, one, volume, sampler, rule)
    bad: list[Quarantined] = []
    marks: list[Mark] = []
    counts: Counter[str] = Counter()
    with writing_store(out / STORE, "hu16", config.size_px, config.depth) as writer:
        for done, (place, taken) in enumerate(in_order(places, take, threads, CHUNK), 1):
            if isinstance(taken, BadPatch):
                bad.append(Quarantined(SOURCE, place.key, taken.reason))
            else:
                writer.add(patch_id(SOURCE, place.key), taken.record, SOURCE, PART, taken.digest, taken.hu)
                marks.append(Mark(place.centre_mm, taken.record.label))
                counts[taken.record.label] += 1
            if done % CHUNK == 0 or done == len(places):
                progress(done, len(places))
        write_quarantine(out / QUARANTINE, bad)
        _check(config, unit, places, bad)
    unlabelled = counts.pop("", 0)
    labels = list(dict.fromkeys([*known_labels(config), *sorted(counts)]))
    write_bytes(out / THUMBNAIL, montage(volume, marks, config.size_px * config.spacing_mm, labels))
    return {
        "patches": len(marks),
        "quarantined": len(bad),
        "labels": dict(sorted(counts.items())),
        "unlabelled": unlabelled,
        "size_voxels": list(volume.hu.shape[::-1]),
        "spacing_mm": [round(step, 6) for step in volume.spacing_mm],
        "orientation": "axial, x to the left, y to the back, z to the head (LPS)",
        "off_axis_degrees": round(_off_axis(volume), 3),
        "hu_lowest": int(volume.hu.min()),
        "hu_highest": int(volume.hu.max()),
        "region_cm3": None if region is None else round(_cm3(region.values != 0, volume), 1),
        "notes": list(volume.notes),
    }


class _Taker:
    """Samples and labels one patch; called from several threads."""

    def __init__(self, config: VolumesConfig, one: Listed, volume: Volume, sampler: Sampler, rule: Labelling) -> None:
        self._config, self._one, self._volume, self._sampler, self._rule = config, one, volume, sampler, rule
        self._max_outside = config.where.max_outside if isinstance(config.where, AtPoints) else 0.0
        self._slice_mm = config.lattice.slice_mm or volume.spacing_mm[2]

    def __call__(self, place: Place) -> _Taken:
        """Raises BadPatch for one that lies too far outside."""
        if place.refusal:
            raise BadPatch(place.refusal)
        hu, outside = self._sampler.patch(place.centre_mm)
        if outside > self._max_outside + 1e-9:
            raise BadPatch(f"{outside:.1%} of it lies outside the volume, max_outside is {self._max_outside:.1%}")
        x, y, z = self._volume.to_world(place.centre_mm / self._volume.spacing_mm)
        numbers = {
            "x_mm": float(x),
            "y_mm": float(y),
            "z_mm": float(z),
            "spacing_mm": self._config.spacing_mm,
            "slice_mm": self._slice_mm,
            "outside": outside,
            "hu_mean": float(hu.mean(dtype=np.float64)),
            "hu_std": float(hu.std(dtype=np.float64)),
        }
        if place.region is not None:
            numbers["region"] = place.region
        row, found = self._one.row, self._one.found
        label = self._rule(place.centre_mm, place.point)
        record = Record(place.key, label, row.patient or found.patient, found.pseudonym, row.site, row.split, numbers)
        return _Taken(hu, pixel_digest(hu, "hu16"), record)


def _check(config: VolumesConfig, unit: Unit, places: Sequence[Place], bad: Sequence[Quarantined]) -> None:
    """Raise ChainError (65) when too much is in quarantine, or nothing is left."""
    table = f"logs/{unit.name}.{QUARANTINE}"
    check_limit(bad, len(places), config.quarantine_limit, table, setting="prepare.quarantine_limit")
    if len(bad) == len(places):
        raise ChainError(f"volume {unit.shown}: no patch could be used", bad[0].reason,
                         "correct the points", ExitCode.BAD_DATA)  # fmt: skip


def _in_frame(volume: Volume, zyx_mm: tuple[float, float, float]) -> np.ndarray:
    return volume.to_index(np.array(zyx_mm[::-1])) * volume.spacing_mm


def _off_axis(volume: Volume) -> float:
    return float(np.degrees(np.arccos(np.clip(np.diag(volume.direction).min(), -1, 1))))


def _cm3(inside: np.ndarray, volume: Volume) -> float:
    return float(np.count_nonzero(inside) * np.prod(volume.spacing_mm) / 1000)
