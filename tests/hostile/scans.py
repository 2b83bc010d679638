"""Slides and volumes through `prepare`, a unit each: files that name others, claim sizes, unpack without end."""

import gzip
import json
import struct

import numpy as np

from tests.hostile.case import Deed, Place, case
from tests.hostile.images import _tiff

INDEX = (
    "[Virtual Microscope Specimen]\nNoLayers=1\nNoJpegColumns=1\nNoJpegRows=1\nMapFile=../../outside/secret\nImageFile="
)
SLIDES = {
    "climbs.vms": "another folder",
    "absolute.vmu": "another folder",
    "mirax.mrxs": "another folder",
    "bomb.tif": ".",
    "loop.tif": ".",
    "xml.scn": ".",
    "script.svs": ".",
    "empty.ndpi": ".",
}


@case(65, "", SLIDES)
def slides(place: Place) -> Deed:
    at = place.inside / "slides"
    (at / "mirax").mkdir(parents=True)
    (at / "climbs.vms").write_text(f"{INDEX}../../outside/secret\n")
    (at / "absolute.vmu").write_text(f"{INDEX}{place.secret}\n")
    (at / "mirax.mrxs").write_bytes(b"")
    (at / "mirax" / "Slidedat.ini").write_text("[GENERAL]\nSLIDE_ID=x\n[DATAFILE]\nFILE_COUNT=1\n"
                                               "FILE_0=../../../outside/secret\n")  # fmt: skip
    (at / "bomb.tif").write_bytes(_tiff(width=1 << 24, height=1 << 24))
    loop = bytearray(_tiff())
    (first,) = struct.unpack_from("<I", loop, 4)
    struct.pack_into("<I", loop, first + 2 + 12 * struct.unpack_from("<H", loop, first)[0], first)
    (at / "loop.tif").write_bytes(loop)
    entities = "".join(f'<!ENTITY {chr(b)} "{f"&{chr(b - 1)};" * 10}">' for b in range(ord("b"), ord("k")))
    (at / "xml.scn").write_bytes(b"II*\0" + f'<?xml?><!DOCTYPE s [<!ENTITY a "x">{entities}]><scn>&j;</scn>'.encode())
    (at / "script.svs").write_bytes(b"#!/bin/sh\ntouch evil\n")
    (at / "empty.ndpi").write_bytes(b"")
    config = {"kind": "slides", "path": str(at), "mpp": 0.5, "size_px": 16, "tissue": {"everything": True},
              "missing_mpp": 0.5, "failure_limit": 1.0}  # fmt: skip
    (place.inside / "c.yaml").write_text(json.dumps({"prepare": config}))
    return ["prepare", place.inside / "c.yaml", place.run, "--workers", "1", "--stall", "60"]


META = ("ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nDimSize = {size}\n"
        "ElementSpacing = 1 1 1\nElementType = MET_SHORT\nElementDataFile = {data}\n")  # fmt: skip
NRRD = ("NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 8 8 8\nspace directions: (1,0,0) "
        "(0,1,0) (0,0,1)\nkinds: domain domain domain\nendian: little\nencoding: raw\nspace origin: (0,0,0)\n"
        "data file: {data}\n\n")  # fmt: skip


def _nifti(sides: tuple[int, int, int]) -> bytes:
    head = bytearray(352)
    struct.pack_into("<i8h", head, 0, 348, 0, 0, 0, 0, 0, 0, 0, 0)
    struct.pack_into("<8h", head, 40, 3, *sides, 1, 1, 1, 1)
    struct.pack_into("<hh", head, 70, 4, 16)
    struct.pack_into("<8f", head, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", head, 108, 352)
    struct.pack_into("<hh", head, 252, 1, 1)
    struct.pack_into("<12f", head, 280, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    head[344:348] = b"n+1\0"
    return bytes(head)


# c.raw, a link, is found as well
VOLUMES = ["outside", "outside", "outside", "outside", "unsupported", "unsupported", "too_large|truncated", "too_large",
           "corrupt", "unsupported", "corrupt|truncated"]  # fmt: skip


@case(65, "", {str(number): reason for number, reason in enumerate(VOLUMES)})
def volumes(place: Place) -> Deed:
    at = place.inside / "scans"
    at.mkdir()
    (place.outside / "secret.raw").write_bytes(bytes(1024))
    (at / "a.mhd").write_text(META.format(size="8 8 8", data="../../outside/secret.raw"))
    (at / "b.mhd").write_text(META.format(size="8 8 8", data=place.outside / "secret.raw"))
    (at / "c.mhd").write_text(META.format(size="8 8 8", data="c.raw"))
    (at / "c.raw").symlink_to(place.outside / "secret.raw")
    (at / "d.mhd").write_text(META.format(size="8 8 8", data="LIST"))
    (at / "e.nrrd").write_text(NRRD.format(data="../../outside/secret.raw"))
    (at / "f.mha").write_text(META.format(size="2000 2000 2000", data="LOCAL"))
    (at / "g.nii").write_bytes(_nifti((32_000, 32_000, 32_000)))
    (at / "h.nii.gz").write_bytes(gzip.compress(_nifti((8, 8, 8)) + bytes(128 << 20), 9))
    (at / "i.nhdr").write_text(NRRD.format(data="/etc/passwd"))
    (at / "j.nii.gz").write_bytes(gzip.compress(np.zeros(100, "u1").tobytes()))
    config = {"kind": "volumes", "path": str(at), "spacing_mm": 1.0, "size_px": 4, "shape": "2d",
              "where": {"kind": "grid", "stride_mm": 4.0}, "failure_limit": 1.0}  # fmt: skip
    (place.inside / "c.yaml").write_text(json.dumps({"prepare": config}))
    return ["prepare", place.inside / "c.yaml", place.run, "--workers", "1", "--stall", "60"]


@case(65, "lies outside")
def slide_that_is_a_link(place: Place) -> Deed:
    at = place.inside / "slides"
    at.mkdir()
    (at / "x.svs").symlink_to(place.secret)
    config = {"kind": "slides", "path": str(at), "mpp": 0.5, "size_px": 16, "tissue": {"everything": True}}
    (place.inside / "c.yaml").write_text(json.dumps({"prepare": config}))
    return ["prepare", place.inside / "c.yaml", place.run, "--workers", "1"]
