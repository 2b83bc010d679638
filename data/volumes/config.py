"""The section `prepare` with kind: volumes: from CT volumes to patches in Hounsfield units."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from data.pixels.modes import MAX_DEPTH, MAX_SIZE_PX
from data.preparation import Preparation
from data.section import Section
from data.volumes.lattice import Lattice
from data.volumes.points import PointsFile
from data.volumes.reasons import MENDED, Reason

Millimetres = Annotated[float, Field(gt=0.01, le=1000)]
Share = Annotated[float, Field(ge=0, le=1)]
LARGEST_VOXELS = 32 << 20  # of one patch


class MaskFolder(Section):
    """Masks of volumes: one NIfTI, MHA or NRRD file of whole numbers each, 0 background.

    A volume's mask is the file of the volume's name (or series UID), less `strip` at its end, plus `suffix`.
    """

    folder: Annotated[Path, Field(description="where the masks lie, at any depth")]
    suffix: Annotated[
        str, Field(description="what a mask's name has more: _seg for case1.nii.gz, case1_seg.nii.gz")
    ] = ""
    strip: Annotated[
        str, Field(description="what a volume's name has more: _0000 for case1_0000.nii.gz, case1.nii.gz")
    ] = ""


class Grid(Section):
    """Patches on a regular grid. Each lies wholly in the volume."""

    kind: Literal["grid"]
    stride_mm: Annotated[Millimetres, Field(description="between the centres of neighbours in a slice")]
    stride_z_mm: Annotated[
        Millimetres | None, Field(description="between the centres of neighbours along the body; null: as in a slice")
    ] = None
    region: Annotated[
        Literal["volume", "body", "mask"],
        Field(description="where: everywhere, in the body (found by itself, table removed), or in a mask of an organ"),
    ] = "body"
    masks: Annotated[MaskFolder | None, Field(description="the masks of region: mask")] = None
    values: Annotated[
        list[Annotated[int, Field(ge=1)]] | None,
        Field(min_length=1, description="values of the mask that count as the region; null: all but 0"),
    ] = None
    min_share: Annotated[Share, Field(gt=0, description="share of a patch's samples that must lie in the region")] = 0.5

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.region == "mask") != (self.masks is not None):
            raise ValueError("region: mask and `masks` go together")
        if self.values is not None and self.region != "mask":
            raise ValueError("`values` goes with region: mask")
        return self


class AtPoints(Section):
    """One patch around each point of `points`."""

    kind: Literal["points"]
    max_outside: Annotated[
        Share, Field(description="share of a patch that may reach beyond the volume (it is air there): else quarantine")
    ] = 0.5


class PointLabels(Section):
    """A patch's label is the class of its point; on a grid, of the points inside it when they agree."""

    kind: Literal["points"]
    names: Annotated[
        dict[str, Annotated[str, Field(min_length=1)]] | None,
        Field(description="class in the table -> label, e.g. {'1': nodule}, others: none; null: as in the table"),
    ] = None
    otherwise: Annotated[
        str | None, Field(min_length=1, description="label of a grid's patches without a point; null: unlabelled")
    ] = None


class MaskClass(Section):
    """One class of a mask."""

    name: Annotated[str, Field(min_length=1, description="the label")]
    values: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, description="values of the mask")]
    min_share: Annotated[Share, Field(gt=0, description="share of a patch's samples that makes it this class")]


class MaskLabels(Section):
    """A patch's label is the first class, in the order given, of which it holds enough.

    A patch with some of a class but too little of each stays unlabelled: it lies on a border.
    """

    kind: Literal["mask"]
    masks: MaskFolder
    classes: Annotated[list[MaskClass], Field(min_length=1, description="rarest first: the first that fits is taken")]
    otherwise: Annotated[
        str | None, Field(min_length=1, description="label of patches with nothing of any class; null: unlabelled")
    ] = None

    @model_validator(mode="after")
    def _values_once(self) -> Self:
        values = [value for one in self.classes for value in one.values]
        if len(set(values)) != len(values):
            raise ValueError("a value belongs to one class")
        return self


class VolumeLabels(Section):
    """A patch's label is that of its volume: the column `label` of `table`."""

    kind: Literal["volume"]


class VolumesConfig(Preparation):
    """CT volumes (DICOM series, NIfTI, MHA, NRRD) to patches of int16 HU. Names are keyed hashes throughout."""

    noun: ClassVar[tuple[str, str]] = ("volume", "volumes")
    keyed: ClassVar[bool] = True
    version: ClassVar[int] = 2
    # what is accepted is in the fingerprint of the volumes it concerns
    not_of_a_unit: ClassVar[frozenset[str]] = Preparation.not_of_a_unit | {"unmatched", "accept"}

    kind: Literal["volumes"] = "volumes"
    path: Annotated[Path, Field(description="the folder of DICOM series and volume files, at any depth; or one file")]
    pattern: Annotated[str, Field(description="which files of it, as a shell pattern of names")] = "*"
    spacing_mm: Annotated[Millimetres, Field(description="between the samples of a slice, both ways")]
    slice_mm: Annotated[
        Millimetres | None,
        Field(description="between slices; null: for 2d the slice as it was scanned, else as spacing_mm"),
    ] = None
    size_px: Annotated[int, Field(ge=1, le=MAX_SIZE_PX, description="side of a patch in samples")]
    shape: Annotated[
        Literal["2d", "2.5d", "3d"],
        Field(description="2d: one axial slice; 2.5d: with its neighbours as channels; 3d: a block"),
    ] = "2d"
    slices: Annotated[
        int | None, Field(ge=1, le=MAX_DEPTH, description="of a patch; null: 1 for 2d, 3 for 2.5d, size_px for 3d")
    ] = None
    smooth: Annotated[
        bool, Field(description="smooth a volume that is finer than spacing_mm before it is sampled (no aliasing)")
    ] = True
    where: Annotated[Grid | AtPoints, Field(discriminator="kind", description="where patches are taken")]
    points: Annotated[PointsFile | None, Field(description="points in mm, such as nodule candidates")] = None
    labels: Annotated[
        PointLabels | MaskLabels | VolumeLabels | None,
        Field(discriminator="kind", description="where labels come from; null: no patch is labelled"),
    ] = None
    table: Annotated[
        Path | None, Field(description="CSV, one row a volume: series (UID or file name), patient, site, label, split")
    ] = None
    unmatched: Annotated[
        Literal["refuse", "skip"],
        Field(description="rows about volumes that are not in `path`, and volumes without the row or mask they need"),
    ] = "refuse"
    accept: Annotated[
        list[Reason], Field(description="faults of volumes to accept, by name: what is then done is documented")
    ] = Field(default_factory=list)
    id_key: Annotated[
        Path | None, Field(description="file with the secret of the keyed hashes; null: one is made in the output")
    ] = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        low, high = {"2d": (1, 1), "2.5d": (3, MAX_DEPTH), "3d": (2, MAX_DEPTH)}[self.shape]
        if not low <= self.depth <= high:
            has = "one slice" if high == 1 else f"{low} to {high} slices"
            raise ValueError(f"shape: {self.shape} has {has}, not {self.depth}: correct `slices`")
        if self.shape == "2.5d" and not self.depth % 2:
            raise ValueError(f"shape: 2.5d has as many slices above as below: an odd number, not {self.depth}")
        if self.size_px**2 * self.depth > LARGEST_VOXELS:
            raise ValueError(f"a patch of {self.size_px} x {self.size_px} x {self.depth} is too large")
        asked = [name for name in ("where", "labels") if getattr(getattr(self, name), "kind", None) == "points"]
        if asked and self.points is None:
            raise ValueError(f"{asked[0]}: {{kind: points}} needs `points`")
        if self.points is not None and not asked:
            raise ValueError("`points` is given, but neither `where` nor `labels` is of kind: points")
        if isinstance(self.labels, VolumeLabels) and self.table is None:
            raise ValueError("labels: {kind: volume} needs `table`, with a column `label`")
        if refused := [reason.value for reason in self.accept if reason not in MENDED]:
            raise ValueError(f"{refused[0]} cannot be accepted; these can: {', '.join(MENDED)}")
        return self

    @property
    def depth(self) -> int:
        """Slices of a patch."""
        return self.slices or {"2d": 1, "2.5d": 3, "3d": self.size_px}[self.shape]

    @property
    def lattice(self) -> Lattice:
        """The samples of a patch."""
        apart = self.slice_mm or (None if self.shape == "2d" else self.spacing_mm)
        return Lattice(self.size_px, self.depth, self.spacing_mm, apart)

    def patch_words(self) -> str:
        """What one patch is."""
        thick = "" if self.depth == 1 else f" x {self.depth} slices"
        return f"{self.size_px} px{thick} at {self.spacing_mm:g} mm"

    def secret(self) -> bytes | None:
        """The secret of `id_key`. Raises ChainError (65, 66)."""
        from data.patches.deid import read_id_key

        return None if self.id_key is None else read_id_key(self.id_key)
