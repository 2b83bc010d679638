"""What the section `annotations` loads: the labelled regions of one slide, in level-0 pixels.

`annotation_files(config, slide)` names the files a slide's labels depend on (for its fingerprint);
`load_annotations` reads them; data/slides/labelling.py gives each patch its label.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import shapely

from data.errors import ChainError, ExitCode
from data.files.containment import hidden
from data.printable import shortened
from data.slides.annotations_config import AnnotationsConfig as AnnotationsConfig
from data.slides.beside import file_of, refuse_shared
from data.slides.corner import OVERHANG, counted_from, moved
from data.slides.geojson import read_geojson
from data.slides.rectangles import read_rectangles, slides_named
from data.slides.regions import Region

ENDINGS = (".geojson", ".json", ".csv")
# what people also annotate slides with, and is not read
_OTHER_ENDINGS = (".xml", ".ndpa", *(f"{ending}{packed}" for ending in ENDINGS for packed in (".gz", ".zip")))
_IN_XML = (b"<ASAP_Annotations", b"<Annotations")  # of ASAP and of ImageScope; scanners write XML of other kinds


@dataclass(frozen=True)
class Annotations:
    """shapes: label -> union of its regions (shapely, level-0 px), labels sorted; facts: counts for facts.json;
    drawn: whether the slide has an annotation file at all.
    """

    shapes: dict[str, Any]
    drawn: bool
    facts: dict[str, Any] = field(default_factory=dict)


def annotation_files(config: AnnotationsConfig, slide: str) -> tuple[Path, ...]:
    """The files that the labels of a slide depend on; empty when it has none.

    slide: its relative POSIX path. In a folder the file lies at the same place or at the top. Raises ChainError: 66
    when `path` is missing (or the slide's file is, and missing: refuse), 65 when two files claim the slide.
    """
    if config.path.is_file():
        return (config.path,)
    found = file_of(config.path, slide, ENDINGS, "annotations.path")
    if not found and config.missing == "refuse":
        raise ChainError(
            f"{slide} has no annotation file",
            f"{PurePosixPath(slide).stem}{ENDINGS[0]} is expected in {config.path}; annotations.missing is refuse",
            "add the file, or set annotations.missing: unlabelled (or outside)",
            ExitCode.MISSING,
        )
    return (found,) if found else ()


def load_annotations(
    config: AnnotationsConfig,
    slide: str,
    slide_size_px: tuple[int, int],
    mpp0: float,
    scanned_px: tuple[int, int, int, int] | None = None,
) -> Annotations:
    """Regions of one slide, classes renamed, one shape a label.

    slide: its relative POSIX path; slide_size_px: level-0 (width, height); mpp0: microns per level-0 pixel, for
    `unit: um`; scanned_px: (x, y, width, height) of what was scanned, from whose corner GeoJSON may count (see
    `data.slides.corner`). Raises ChainError (65) naming file, feature or line: unreadable, not finite, outside the
    slide, a class that is not known.
    """
    files = annotation_files(config, slide)
    regions: list[Region] = []
    passed = 0
    for path in files:
        if path.suffix.lower() == ".csv":
            scale = 1.0 if config.unit == "px" else 1.0 / mpp0
            regions += read_rectangles(path, scale, _called(slide).__contains__ if path == config.path else None)
        else:
            found, passed = read_geojson(path)
            regions += found
    drawn = bool(regions) if config.path in files else bool(files)
    if not drawn and config.missing == "refuse":
        raise ChainError(f"{config.path} has no row of {slide}", "annotations.missing is refuse",
                         "add its rectangles, or set annotations.missing: unlabelled (or outside)",
                         ExitCode.MISSING)  # fmt: skip
    by_label: dict[str, list[Region]] = {}
    used = [region for region in regions if not _labels_nothing(config, region)]
    corner = (0, 0)
    if files and files[0].suffix.lower() != ".csv":
        corner = counted_from(files[0], slide, used, slide_size_px, scanned_px)
        used = moved(used, corner)
    for region in used:
        _refuse_outside(files[0], slide, region, slide_size_px)
        by_label.setdefault(_label(config, files[0], region), []).append(region)
    facts = {
        "regions": {label: len(of) for label, of in sorted(by_label.items())},
        "regions_mended": sum(region.mended for of in by_label.values() for region in of),
        "regions_ignored": len(regions) - len(used),
        "regions_passed_over": passed,
        **({"counted_from_px": list(corner)} if any(corner) else {}),
    }
    shapes = {label: shapely.union_all([r.shape for r in of]) for label, of in sorted(by_label.items())}
    return Annotations(shapes, drawn, facts)


def check_claims(config: AnnotationsConfig, slides: Sequence[str]) -> list[str]:
    """The slides that have no annotations.

    Raises ChainError (65) when an annotation belongs to none of the slides (relative POSIX paths, all of the
    folder) while some slide has none: a slip in a name would leave that slide unlabelled unseen; or to two of them.
    """
    if config.path.is_file():
        if config.path.suffix.lower() != ".csv":
            raise ChainError(
                f"annotations.path: {config.path} is one file, and no .csv",
                "one file for all slides is a CSV of rectangles with a column `slide`; GeoJSON is one a slide",
                "name the folder that it lies in; there it is called like its slide",
                ExitCode.BAD_DATA,
            )
        named = slides_named(config.path)
        owners: dict[str, list[str]] = defaultdict(list)
        for slide in slides:
            for name in _called(slide):
                owners[name].append(slide)
        for cell, place in named.items():
            if len(several := owners.get(cell, [])) > 1:
                raise ChainError(
                    f"{config.path} {place}: {shortened(cell)!r} may mean {several[0]} and {several[1]}",
                    "they have the same name in different folders",
                    "name each by its path below the folder of slides (one at the top: move it into a folder)",
                    ExitCode.BAD_DATA,
                )
        strays = [f"{cell!r} ({place})" for cell, place in named.items() if cell not in owners]
        bare = [slide for slide in slides if not _called(slide) & named.keys()]
    else:
        found = {slide: file_of(config.path, slide, ENDINGS, "annotations.path") for slide in slides}
        refuse_shared(found, "annotations.path")
        claimed = {path for path in found.values() if path is not None}
        # tables and JSON of other kinds lie in such folders too: unless slides here are annotated so, none is meant
        endings = {ENDINGS[0], *(path.suffix for path in claimed)}
        files = sorted(path for path in config.path.rglob("*") if path.is_file() and not hidden(path.name))
        strays = [path.name for path in files if path.suffix in endings and path not in claimed]
        bare = [slide for slide, path in found.items() if path is None]
        _refuse_other_kinds(bare, files)
    if strays and bare:
        raise ChainError(
            f"annotations.path: {config.path} annotates {shortened(strays[0])}, which is none of the slides"
            + (f"; {len(strays) - 1:,} more" if len(strays) > 1 else ""),
            f"{len(bare):,} of {len(slides):,} slides have no annotations, {bare[0]} the first: is a name misspelt?",
            "name them as their slides, or move annotations of slides that are not here elsewhere",
            ExitCode.BAD_DATA,
        )
    return bare


def _refuse_other_kinds(bare: Sequence[str], files: Sequence[Path]) -> None:
    """Raise ChainError (65) when a slide without an annotation that is read has one of another kind among `files`."""
    named = {path.name.lower(): path for path in files}
    for slide in bare:
        stem = PurePosixPath(slide).stem
        for ending in (*ENDINGS, *_OTHER_ENDINGS):
            path = named.get(f"{stem}{ending}".lower())
            # in the very spelling it would be read, or be another slide's
            if path is None or path.name.endswith(ENDINGS) or (ending == ".xml" and not _annotates(path)):
                continue
            raise ChainError(
                f"annotations.path: {path} seems to annotate {slide}, and is of a kind that is not read",
                f"files that end in {', '.join(ENDINGS)} are; without them the slide counts as one without annotations",
                "export it from QuPath as GeoJSON, uncompressed, or move the file elsewhere",
                ExitCode.BAD_DATA,
            )


def _annotates(xml: Path) -> bool:
    with xml.open("rb") as file:
        start = file.read(4096)
    return any(mark in start for mark in _IN_XML)


def _labels_nothing(config: AnnotationsConfig, region: Region) -> bool:
    return region.label in config.ignore or (region.label.endswith("*") and region.label not in config.rename)


def _called(slide: str) -> set[str]:
    # a table may name a slide by its path, its file name or its stem
    place = PurePosixPath(slide)
    return {slide, str(place.with_suffix("")), place.name, place.stem}


def _label(config: AnnotationsConfig, path: Path, region: Region) -> str:
    label = config.rename.get(region.label, region.label)
    if not label:
        raise ChainError(
            f"{path}: {region.place} has no class",
            "a region labels the patches inside it",
            'give it one; or say what such regions are, annotations.rename: {"": NAME}, or annotations.ignore: [""]',
            ExitCode.BAD_DATA,
        )
    if config.classes is not None and label not in config.classes:
        raise ChainError(
            f"{path}: {region.place} has the class {shortened(label)!r}",
            f"annotations.classes knows {', '.join(map(shortened, config.classes))}",
            "add it to annotations.classes, to annotations.rename or to annotations.ignore",
            ExitCode.BAD_DATA,
        )
    return label


def _refuse_outside(path: Path, slide: str, region: Region, slide_size_px: tuple[int, int]) -> None:
    left, top, right, bottom = region.shape.bounds
    width, height = slide_size_px
    spare_x, spare_y = OVERHANG * width, OVERHANG * height
    if left < -spare_x or top < -spare_y or right > width + spare_x or bottom > height + spare_y:
        raise ChainError(
            f"{path}: {region.place} reaches x {left:,.0f} to {right:,.0f}, y {top:,.0f} to {bottom:,.0f}",
            f"{slide} is {width:,} x {height:,} level-0 pixels: are these of another slide, another level or microns?",
            "export the annotations of this slide in level-0 pixels (a CSV in microns: annotations.unit: um)",
            ExitCode.BAD_DATA,
        )
