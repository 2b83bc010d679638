"""The label of a patch: of its points, of the mask under it, or of its volume."""

from collections.abc import Callable, Sequence

import numpy as np

from data.volumes.config import MaskClass, MaskLabels, PointLabels, VolumeLabels, VolumesConfig
from data.volumes.label_map import LabelMap
from data.volumes.lattice import NEAR_MM, Lattice
from data.volumes.points import Point

# (centre (3,) in the volume's frame, the patch's own point or None) -> label, "" unlabelled
Labelling = Callable[[np.ndarray, Point | None], str]


def labelling(
    config: VolumesConfig,
    lattice: Lattice,
    of_volume: str,
    mask: LabelMap | None,
    points: Sequence[tuple[np.ndarray, Point]],
    thickness_mm: float,
) -> Labelling:
    """The rule of the configuration for one volume.

    points: each with its place in the volume's frame; thickness_mm: of a patch that is one slice as scanned.
    """
    match config.labels:
        case None:
            return lambda centre, point: ""
        case VolumeLabels():
            return lambda centre, point: of_volume
        case MaskLabels() as shares:
            assert mask is not None, "the listing finds the mask"
            return lambda centre, point: by_share(mask.patch(lattice, centre), shares.classes, shares.otherwise)
        case PointLabels() as rule:
            x_mm, y_mm, z_mm = lattice.extent_mm()
            reach = np.array([x_mm, y_mm, z_mm or thickness_mm]) / 2
            places = np.array([place for place, _ in points]).reshape(-1, 3)
            names = [_named(point.label, rule) for _, point in points]

            def by_points(centre: np.ndarray, point: Point | None) -> str:
                if point is not None:
                    return _named(point.label, rule)
                inside = np.flatnonzero((np.abs(places - centre) <= reach + NEAR_MM).all(axis=1))
                if not len(inside):
                    return rule.otherwise or ""
                found = {names[i] for i in inside}
                # two classes in one patch, or one of unknown class: neither is right
                return found.pop() if len(found) == 1 else ""

            return by_points


def known_labels(config: VolumesConfig) -> list[str]:
    """The labels the configuration itself names, in its order."""
    match config.labels:
        case MaskLabels() as shares:
            names = [one.name for one in shares.classes]
        case PointLabels(names=dict() as renamed):
            names = list(renamed.values())
        case _:
            names = []
    otherwise = getattr(config.labels, "otherwise", None)
    return list(dict.fromkeys([*names, *([otherwise] if otherwise else [])]))


def by_share(values: np.ndarray, classes: Sequence[MaskClass], otherwise: str | None) -> str:
    """The first class that holds at least its share of the patch; `otherwise` where there is nothing of any.

    values: of the mask at the patch's samples, any shape.
    """
    shares = [float(np.isin(values, one.values).mean()) for one in classes]
    for one, share in zip(classes, shares, strict=True):
        if share >= one.min_share - 1e-9:
            return one.name
    return (otherwise or "") if not any(shares) else ""


def _named(label: str, rule: PointLabels) -> str:
    return label if rule.names is None else rule.names.get(label, "")
