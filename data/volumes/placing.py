"""Where patches stand in a volume: on a grid within a region, or at points."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.errors import ChainError, ExitCode
from data.preparation import Progress
from data.volumes.body import body_mask
from data.volumes.config import Grid, VolumesConfig
from data.volumes.label_map import LabelMap
from data.volumes.lattice import Lattice, grid_mm
from data.volumes.listing import Listed
from data.volumes.masks import read_mask
from data.volumes.points import Point
from data.volumes.volume import Volume


@dataclass(frozen=True)
class Place:
    """One patch to be. centre_mm: (3,) in the volume's frame; region: share of it inside, None: not asked.

    refusal: why there can be none, "" if there can.
    """

    key: str
    centre_mm: np.ndarray
    point: Point | None = None
    region: float | None = None
    refusal: str = ""


def region_map(config: VolumesConfig, one: Listed, volume: Volume) -> LabelMap | None:
    """Non-zero where patches of a grid are wanted; None: everywhere. Raises ChainError (65)."""
    where = config.where
    if not isinstance(where, Grid) or where.region == "volume":
        return None
    if where.region == "body":
        return body_mask(volume.hu, volume.spacing_mm, f"volume {one.unit.shown}")
    mask = read_mask(one.region, volume, one.unit.shown, "where.masks", config.accept)
    if where.values is None:
        return mask
    wanted = np.isin(mask.values, where.values)
    if not wanted.any():
        raise ChainError(
            f"volume {one.unit.shown}: its mask in where.masks has none of where.values",
            f"in the volume it holds {', '.join(map(str, np.unique(mask.values)[1:9]))}",
            "correct where.values, or leave the volume out",
            ExitCode.BAD_DATA,
        )
    return LabelMap(wanted.view(np.uint8), volume.spacing_mm)


def grid_places(
    where: Grid, volume: Volume, lattice: Lattice, region: LabelMap | None, shown: str, progress: Progress
) -> list[Place]:
    """Places of the grid that lie enough in the region, by z, then y, then x. Raises ChainError (65): there is none."""
    stride = (where.stride_mm, where.stride_mm, where.stride_z_mm or where.stride_mm)
    x, y, z = grid_mm(volume.hu.shape, volume.spacing_mm, lattice, stride)
    if not (len(x) and len(y) and len(z)):
        has, needs = (
            " x ".join(f"{side:.1f}" for side in sides)
            for sides in (np.array(volume.hu.shape[::-1]) * volume.spacing_mm, lattice.extent_mm())
        )
        raise ChainError(f"volume {shown} is smaller than one patch", f"it has {has} mm, a patch needs {needs} mm",
                         "take smaller patches, or leave the volume out", ExitCode.BAD_DATA)  # fmt: skip
    progress(0, len(x) * len(y) * len(z))
    shares = None if region is None else region.shares(lattice, x, y, z)
    places = []
    for k, j, i in np.ndindex(len(z), len(y), len(x)):
        share = None if shares is None else float(shares[k, j, i])
        if share is None or share >= where.min_share - 1e-9:
            places.append(Place(f"z{k:04d}_y{j:04d}_x{i:04d}", np.array([x[i], y[j], z[k]]), region=share))
    if not places:
        raise ChainError(
            f"volume {shown} gives no patch",
            f"no place of the grid lies to {where.min_share:.0%} in the region ({where.region})",
            "lower where.min_share or where.stride_mm, take smaller patches, or leave the volume out",
            ExitCode.BAD_DATA,
        )
    return places


def point_places(volume: Volume, lattice: Lattice, points: Sequence[Point]) -> list[Place]:
    """A place around each point, in the points' order; one outside the volume is refused there."""
    places = []
    slices = volume.hu.shape[0]
    for point in points:
        index = volume.to_index(np.array(point.zyx_mm[::-1]))
        beyond = np.maximum(-0.5 - index, index - np.array(volume.hu.shape[::-1]) + 0.5).clip(0) * volume.spacing_mm
        refusal = f"its point lies {beyond.max():.1f} mm outside the volume" if beyond.max() > 0 else ""
        centre = lattice.placed(index * volume.spacing_mm, volume.spacing_mm[2], slices)
        places.append(Place(point.key, centre, point, refusal=refusal))
    return places
