"""The header of a NRRD file (.nrrd, data in the same file), as far as it must be known before the file is read.

Format: https://teem.sourceforge.net/nrrd/format.html.
"""

from pathlib import Path

from data.volumes.declared import Declared, check_place, volume_size
from data.volumes.reasons import Reason, Unfit
from data.volumes.text_header import beginning, numbers, whole_numbers

TYPES = {
    1: "signed char,int8,int8_t,uchar,unsigned char,uint8,uint8_t",
    2: "short,short int,signed short,signed short int,int16,int16_t,ushort,unsigned short,unsigned short int,uint16,"
    "uint16_t",
    4: "int,signed int,int32,int32_t,uint,unsigned int,uint32,uint32_t,float",
    8: "longlong,long long,long long int,signed long long,signed long long int,int64,int64_t,ulonglong,"
    "unsigned long long,unsigned long long int,uint64,uint64_t,double",
}
VOXEL_BYTES = {name: count for count, names in TYPES.items() for name in names.split(",")}
SPACES = {"left-posterior-superior", "lps", "right-anterior-superior", "ras", "left-anterior-superior", "las"}


def nrrd_declared(path: Path) -> Declared:
    """Raises Unfit, OSError."""
    fields, end = _fields(beginning(path))
    if "data file" in fields or "datafile" in fields:
        raise Unfit(Reason.UNSUPPORTED, "its voxels lie in another file")
    if any(fields.get(name, "0") != "0" for name in ("line skip", "lineskip", "byte skip", "byteskip")):
        raise Unfit(Reason.UNSUPPORTED, "its voxels do not begin where its header ends")
    size = whole_numbers(fields.get("sizes", ""))
    if [len(size)] != whole_numbers(fields.get("dimension", "")):
        raise Unfit(Reason.CORRUPT, "its header contradicts itself on the number of dimensions")
    if len(size) > 3:
        raise Unfit(Reason.TIME_SERIES, f"it has {len(size)} dimensions: several volumes, or vectors")
    if fields.get("type", "").lower() not in VOXEL_BYTES:
        raise Unfit(Reason.UNSUPPORTED, "its voxels are not plain numbers")
    packing = fields.get("encoding", "").lower()
    if packing not in ("raw", "gzip", "gz"):
        raise Unfit(Reason.UNSUPPORTED, "its voxels are neither raw nor packed with gzip")
    problems = {}
    if fields.get("space", "").lower() not in SPACES:
        problems[Reason.NO_ORIENTATION] = "it does not say how its axes lie in the patient"
    if fields.get("space units", "mm").replace('"', "").lower().split() not in (["mm"], ["mm"] * 3):
        raise Unfit(Reason.UNSUPPORTED, "its distances are not in millimetres")
    _check_place(fields)
    voxel = VOXEL_BYTES[fields["type"].lower()]
    if packing == "raw":
        return Declared(volume_size(size), voxel, path, end, problems=problems)
    return Declared(volume_size(size), voxel, path, 0, "zlib", end, problems)


def _check_place(fields: dict[str, str]) -> None:
    origin = numbers(fields["space origin"]) if "space origin" in fields else ()
    if "space directions" in fields:
        steps = numbers(fields["space directions"])
        if len(steps) != 9:
            raise Unfit(Reason.NO_GEOMETRY, "its axes are not three directions in space")
        spacing = tuple(sum(step * step for step in steps[at : at + 3]) ** 0.5 for at in (0, 3, 6))
    elif "spacings" in fields:
        spacing = numbers(fields["spacings"])
    else:
        raise Unfit(Reason.NO_GEOMETRY, "it does not say how large its voxels are")
    check_place(spacing, origin)


def _fields(start: bytes) -> tuple[dict[str, str], int]:
    """Values by key in lower case, without comments and own keys (`:=`); and where the header ends."""
    if not start.startswith(b"NRRD000"):
        raise Unfit(Reason.CORRUPT, "it is not a NRRD file")
    fields: dict[str, str] = {}
    at = start.find(b"\n") + 1
    while at and (end := start.find(b"\n", at)) >= 0:
        line = start[at:end].decode("latin-1").rstrip("\r")
        at = end + 1
        if not line:
            return fields, at
        if line.startswith("#") or ":=" in line:
            continue
        key, sign, value = line.partition(":")
        if not sign or key.strip().lower() in fields:
            break
        fields[key.strip().lower()] = value.strip()
    raise Unfit(Reason.CORRUPT, "its header does not end, or says a thing twice")
