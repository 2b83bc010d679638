"""Where a slide's patches lie and what they are called: on a grid over tissue, or where others have cut them."""

from typing import NamedTuple

import numpy as np

from data.slides.annotations import Annotations
from data.slides.config import SlidesConfig
from data.slides.foreign_coords import ForeignCoordinates
from data.slides.grid import lay, tissue_shares
from data.slides.labelling import label_patches
from data.slides.listing import Listed
from data.slides.order import reading_order
from data.wsi.plan import ReadPlan
from data.wsi.thumbnail import Thumbnail


class Place(NamedTuple):
    """One patch before it is read. x_px, y_px: level-0 top-left; tissue: share on the thumbnail."""

    x_px: int
    y_px: int
    tissue: float
    label: str

    @property
    def key(self) -> str:
        """Its name in the slide."""
        return f"x{self.x_px:06d}_y{self.y_px:06d}"


def places_of(
    config: SlidesConfig,
    one: Listed,
    plan: ReadPlan,
    cut: ForeignCoordinates | None,
    thumbnail: Thumbnail,
    mask: np.ndarray,
    annotations: Annotations | None,
) -> tuple[list[Place], str]:
    """Every patch, in reading order, and where there is none, why: a slide may well hold nothing that is wanted.

    mask: (H, W) bool, tissue, over the thumbnail. Raises ChainError (78) for a grid without end.
    """
    if cut is not None:
        xy, tissue = cut.xy_px, tissue_shares(cut.xy_px, plan.side_px, mask, thumbnail.downsample)
    else:
        stride = config.grid.stride_px(config.size_px)
        found = lay(one.info.size_px, one.info.mpp, plan.mpp, config.size_px, stride, mask, thumbnail.downsample,
                    config.grid.min_tissue)  # fmt: skip
        xy, tissue = found.xy_px, found.tissue
    if not len(xy):
        return [], _why_none(one, plan, cut, mask)
    if annotations is not None and config.annotations is not None:
        labels, keep = label_patches(xy, plan.side_px, annotations, config.annotations)
        if not keep.any():
            return [], f"annotations.outside or annotations.ambiguous drops every one of its {len(xy):,} patches"
    else:
        labels, keep = [one.row.label] * len(xy), np.ones(len(xy), bool)
    order = reading_order(xy, plan.downsample)
    return [Place(int(xy[n, 0]), int(xy[n, 1]), float(tissue[n]), labels[n]) for n in order if keep[n]], ""


def _why_none(one: Listed, plan: ReadPlan, cut: ForeignCoordinates | None, mask: np.ndarray) -> str:
    width, height = one.info.size_px
    if cut is not None:
        return "its coordinate file lists no patch that lies on the slide"
    if min(width, height) < plan.side_px:
        return f"it has {width:,} x {height:,} px, and a patch takes {plan.side_px:,.5g} of them"
    return (
        f"no patch has enough tissue: {mask.mean():.2%} of the slide was found to be tissue "
        f"({mask.mean() * area_mm2(one):.3g} mm2)"
    )


def area_mm2(one: Listed) -> float:
    """Of the whole slide."""
    width, height = one.info.size_px
    return width * height * (one.info.mpp / 1000) ** 2
