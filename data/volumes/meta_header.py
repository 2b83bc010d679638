"""The header of a MetaImage (.mha, .mhd with its .raw), as far as it must be known before the file is read.

Format: https://itk.org/Wiki/ITK/MetaIO/Documentation.
"""

import os
from pathlib import Path

from data.volumes.declared import Declared, check_place, volume_size
from data.volumes.reasons import Reason, Unfit
from data.volumes.text_header import beginning, numbers, whole_numbers

ELEMENT_BYTES = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4, "MET_LONG": 4,
    "MET_ULONG": 4, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_FLOAT": 4, "MET_DOUBLE": 8,
}  # fmt: skip
# of its values, and what leaves them as they are
SCALING = {"elementtointensityfunctionslope": "1", "elementtointensityfunctionoffset": "0"}
ORIGINS = ("offset", "position", "origin")


def meta_declared(path: Path) -> Declared:
    """Raises Unfit, OSError."""
    start = beginning(path)
    fields, end = _fields(start)
    if fields.get("objecttype", "Image") != "Image":
        raise Unfit(Reason.UNSUPPORTED, "it is a MetaIO file, but no image")
    size = whole_numbers(fields.get("dimsize", ""))
    if [len(size)] != whole_numbers(fields.get("ndims", "")):
        raise Unfit(Reason.CORRUPT, "its header contradicts itself on the number of dimensions")
    if fields.get("elementtype") not in ELEMENT_BYTES:
        raise Unfit(Reason.UNSUPPORTED, "its voxels are not plain numbers")
    if fields.get("elementnumberofchannels", "1") != "1":
        raise Unfit(Reason.COLOUR, "its voxels are colours or vectors")
    if not _yes(fields.get("binarydata", "True")):
        raise Unfit(Reason.UNSUPPORTED, "its voxels are written as text")
    for name, same in SCALING.items():
        if numbers(fields.get(name, same)) != numbers(same):
            raise Unfit(Reason.UNSUPPORTED, "its header scales its values (ElementToIntensityFunction), ITK does not")
    spacing = fields.get("elementspacing") or fields.get("elementsize")
    if spacing is None:
        raise Unfit(Reason.NO_GEOMETRY, "it does not say how large its voxels are")
    check_place(numbers(spacing), sum((numbers(fields[name]) for name in ORIGINS if name in fields), ()))
    packed = _yes(fields.get("compresseddata", "False"))
    data, offset = _data(path, fields["elementdatafile"], end)
    if fields.get("headersize", "0") not in ("0", "-1"):
        raise Unfit(Reason.UNSUPPORTED, "its voxels do not begin where its data file begins")
    voxel = ELEMENT_BYTES[fields["elementtype"]]
    if packed:
        return Declared(volume_size(size), voxel, data, 0, "zlib", offset)
    return Declared(volume_size(size), voxel, data, offset)


def _fields(start: bytes) -> tuple[dict[str, str], int]:
    """Values by key in lower case, up to `ElementDataFile`, which is the last; and where the header ends."""
    fields: dict[str, str] = {}
    at = 0
    while (end := start.find(b"\n", at)) >= 0:
        key, sign, value = start[at:end].decode("latin-1").partition("=")
        at = end + 1
        key = key.strip().lower()
        if not sign or not key or key in fields or "\0" in key:
            break
        fields[key] = value.strip()
        if key == "elementdatafile":
            return fields, at
    raise Unfit(Reason.CORRUPT, "it has no MetaImage header")


def _data(path: Path, name: str, end: int) -> tuple[Path, int]:
    if name.upper() == "LOCAL":
        return path, end
    if name.upper().startswith("LIST") or "%" in name:
        raise Unfit(Reason.UNSUPPORTED, "its voxels lie in several files")
    # a header may name any file of the machine: only one beside it is read
    data = path.parent / name
    if Path(name).name != name or "\\" in name or "\0" in name or name in ("", ".", ".."):
        raise Unfit(Reason.OUTSIDE, "its voxels lie in a file of another folder")
    if not data.is_file():
        raise Unfit(Reason.TRUNCATED, "the file with its voxels is missing")
    if Path(os.path.realpath(data)).parent != Path(os.path.realpath(path.parent)):
        raise Unfit(Reason.OUTSIDE, "a symbolic link leads out of the folder")
    return data, 0


def _yes(text: str) -> bool:
    return text[:1] in ("T", "t", "1")
