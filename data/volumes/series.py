"""DICOM headers into stacks of slices: one series UID may hold scouts, captured screens and several volumes."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from data.volumes import dicom_kind
from data.volumes.dicom_headers import Header
from data.volumes.reasons import Reason
from data.volumes.stack import DIRECTION_TOLERANCE, SAME_PLACE_MM

# fewer slices than this, turned otherwise than the rest, are no volume of their own
FEWEST_SLICES = 3
ORIENTATION_TOLERANCE = 10 * DIRECTION_TOLERANCE


class Group(NamedTuple):
    """Headers that belong together. part: what sets them apart from the other groups of their series; "": the main.

    reason: why they are no volume; None: they may be one. owner: hashes of study and patient where the series UID is
    given to slices of several, each with a main group; "": there is one.
    """

    headers: list[Header]
    part: str
    reason: Reason | None
    owner: str = ""


def groups(headers: Iterable[Header]) -> list[Group]:
    """The headers of one series UID, the main group first. A function of what they hold, not of their order."""
    by_reason: dict[Reason | None, list[Header]] = defaultdict(list)
    for header in headers:
        by_reason[dicom_kind.never(header)].append(header)
    owned = _by_owner(by_reason.pop(None, []))
    stacks = [
        group._replace(owner=owner if len(owned) > 1 else "")
        for owner in sorted(owned)
        for group in _stacks(sorted(owned[owner], key=_sort_key))
    ]
    others = [Group(some, str(reason), reason) for reason, some in by_reason.items() if reason]
    # where a series has no slices at all, what it has keeps its name
    ordered = stacks + sorted(others, key=lambda group: (-len(group.headers), group.part))
    return [group._replace(part="" if at == 0 else group.part) for at, group in enumerate(ordered)]


def _by_owner(headers: list[Header]) -> dict[str, list[Header]]:
    """Careless exports give one series UID to several patients: apart by study and patient, whose splits may differ."""
    patients: dict[str, set[str]] = defaultdict(set)
    for header in headers:
        patients[header.study] |= {header.patient} - {""}
    owned: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        # a slice that does not say whose it is belongs to the one patient of its study
        patient = header.patient or (min(patients[header.study]) if len(patients[header.study]) == 1 else "")
        owned[f"{header.study}\x1f{patient}"].append(header)
    return owned


def _stacks(headers: list[Header]) -> list[Group]:
    alike: list[list[Header]] = []
    for header in headers:
        home = next((some for some in alike if _belongs(header, some[0])), None)
        if home is None:
            alike.append([header])
        else:
            home.append(header)
    sizes = [len(some) for some in alike]
    if len(alike) > 1 and min(sizes) < FEWEST_SLICES:
        return [Group(headers, "", None)]  # not sorted apart: reading names what differs
    parts = [part for some in alike for part in _by_acquisition(some)]
    parts.sort(key=len, reverse=True)  # stable: of equal length, the order of their contents
    return [Group(some, f"stack {at}" if at else "", None) for at, some in enumerate(parts)]


def _sort_key(header: Header) -> tuple[object, ...]:
    numbers = (header.orientation or (), header.pixel_mm or (), header.position_mm or ())
    return header.rows, header.columns, *numbers, header.acquisition or 0, str(header.path)


def _belongs(header: Header, other: Header) -> bool:
    if (header.rows, header.columns) != (other.rows, other.columns):
        return False
    return _near(header.orientation, other.orientation, ORIENTATION_TOLERANCE) and _near(
        header.pixel_mm, other.pixel_mm, DIRECTION_TOLERANCE * max(other.pixel_mm or (1.0,))
    )


def _near(one: tuple[float, ...] | None, other: tuple[float, ...] | None, within: float) -> bool:
    if one is None or other is None:
        return one is other
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= within


def _by_acquisition(headers: list[Header]) -> list[list[Header]]:
    """Phases scanned over one another share a series UID: apart by acquisition, if that leaves no place taken twice."""
    if any(header.position_mm is None for header in headers) or not _repeats(headers):
        return [headers]
    apart: dict[int | None, list[Header]] = defaultdict(list)
    for header in headers:
        apart[header.acquisition].append(header)
    whole = len(apart) > 1 and all(len(some) >= FEWEST_SLICES and not _repeats(some) for some in apart.values())
    return list(apart.values()) if whole else [headers]


def _repeats(headers: list[Header]) -> bool:
    places = np.unique(np.rint(np.array([header.position_mm for header in headers]) / SAME_PLACE_MM), axis=0)
    return len(places) < len(headers)
