"""From a folder to volumes: DICOM series put together from their headers, and files of one volume each."""

import hashlib
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from data.errors import ChainError, ExitCode
from data.files.fingerprint import fingerprint
from data.patches.deid import pseudonym
from data.volumes import series
from data.volumes.dicom import judged
from data.volumes.dicom_headers import Header, read_header
from data.volumes.dicom_kind import WHY
from data.volumes.files import Candidate, candidates
from data.volumes.found import Found, Kind
from data.volumes.quiet import quiet
from data.volumes.reasons import LEFT_OUT, Reason, VolumeError, refuse_unless_accepted
from data.volumes.sitk_files import SUFFIXES, declared_file, kind_of, lies_oblique

HEAD_BYTES, TAIL_BYTES = 1 << 14, 1 << 12  # of one slice: a series has hundreds
UNSUPPORTED_WHY = "its voxels lie in a file of their own: only NIfTI, MHA, MHD and NRRD files are read"


def find_volumes(
    path: Path,
    key: bytes,
    pattern: str = "*",
    accept: Collection[Reason] = frozenset(),
    only: Collection[Path] | None = None,
) -> list[Found]:
    """Every volume below a folder (or the one file), in the order of their pseudonyms; headers only are read.

    key: of the hashes. pattern: a shell pattern of names, or of paths below the folder. accept: reasons not to refuse
    a volume; what is no volume at all (a scout, a captured screen) is then left out. only: look at these files alone.
    What is known to be unusable is there with its refusal. Raises ChainError (66) when nothing is found. No message
    names a file or folder.
    """
    found: list[Found] = []
    slices: dict[str, list[Header]] = defaultdict(list)
    keys: dict[Path, str] = {}
    with quiet():
        for candidate in candidates(path, pattern, only):
            if candidate.looks != "dicom":
                found.append(_file(candidate, key, accept))
                continue
            header = _header(candidate, key)
            if isinstance(header, Header):
                slices[header.series].append(header)
                keys[header.path] = candidate.key
            elif header is not None:
                found.append(_refused(candidate, key, header, WHY[header]))
    patients: dict[str, set[str]] = defaultdict(set)  # of a study
    for header in (header for headers in slices.values() for header in headers):
        if header.study and header.patient:
            patients[header.study].add(header.patient)
    for name, headers in slices.items():
        for group in series.groups(headers):
            if group.reason not in LEFT_OUT or group.reason not in accept:
                found.append(_series(name, group, keys, key, accept, patients[group.headers[0].study]))
    if not found:
        fits = "" if pattern == "*" else " and fits `pattern`"
        raise ChainError("no volume is found in `path`", f"nothing there is CT in DICOM, NIfTI, MHA or NRRD{fits}",
                         "correct `path` or `pattern`", ExitCode.MISSING)  # fmt: skip
    return sorted(found, key=lambda one: one.pseudonym)


def _header(candidate: Candidate, key: bytes) -> Header | Reason | None:
    try:
        header = read_header(candidate.path, key)
    except OSError:
        return Reason.UNREADABLE
    return Reason.CORRUPT if isinstance(header, Header) and not header.series else header


def _file(candidate: Candidate, key: bytes, accept: Collection[Reason]) -> Found:
    if candidate.looks == "outside":
        return _refused(candidate, key, Reason.OUTSIDE, WHY[Reason.OUTSIDE])
    if candidate.looks == "unreadable":
        return _refused(candidate, key, Reason.UNREADABLE, WHY[Reason.UNREADABLE])
    kind = kind_of(candidate.path.name)
    if kind is None:
        return _refused(candidate, key, Reason.UNSUPPORTED, UNSUPPORTED_WHY)
    name = pseudonym(key, candidate.key)
    refusal: VolumeError | None = None
    paths: tuple[Path, ...] = (candidate.path,)
    mended: frozenset[Reason] = frozenset()
    try:
        declared = declared_file(name, candidate.path, kind, accept)
        oblique = lies_oblique(candidate.path, kind)
        refuse_unless_accepted(name, oblique, accept)
        mended = frozenset(oblique)
        paths = tuple(dict.fromkeys((candidate.path, declared.data)))
        digest = fingerprint(paths)
    except VolumeError as error:
        refusal, digest = error, ""
    except ChainError:
        refusal, digest = VolumeError(name, [Reason.UNREADABLE], WHY[Reason.UNREADABLE]), ""
    return Found(name, kind, paths, "", _file_aliases(candidate.key, key), digest, refusal, mended)


def _refused(candidate: Candidate, key: bytes, reason: Reason, why: str) -> Found:
    name = pseudonym(key, candidate.key)
    kind: Kind = kind_of(candidate.path.name) or "dicom"
    error = VolumeError(name, [reason], why)
    return Found(name, kind, (candidate.path,), "", _file_aliases(candidate.key, key), "", error)


def _file_aliases(below: str, key: bytes) -> frozenset[str]:
    """Its path below the folder, its name, and its name without the suffix."""
    name = PurePosixPath(below).name
    suffix = next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if name.lower().endswith(suffix)), "")
    return frozenset(pseudonym(key, text) for text in (below, name, name[: len(name) - len(suffix)]))


def _series(
    name: str, group: series.Group, keys: dict[Path, str], key: bytes, accept: Collection[Reason], others: set[str]
) -> Found:
    """others: the patients that the series of its study name."""
    headers = sorted(group.headers, key=lambda header: keys[header.path])
    aliases = {name} if not group.part else set()
    if group.owner:
        name = pseudonym(key, f"{name}\x1f{group.owner}")
    if group.part:
        name = pseudonym(key, f"{name}\x1f{group.part}")
    elif len(folders := {str(PurePosixPath(keys[header.path]).parent) for header in headers} - {"."}) == 1:
        below = folders.pop()
        aliases |= {pseudonym(key, below), pseudonym(key, PurePosixPath(below).name)}
    refusal: VolumeError | None = None
    mended: frozenset[Reason] = frozenset()
    if group.reason is not None:
        refusal = VolumeError(name, [group.reason], WHY[group.reason])
    else:
        try:
            stack, problems = judged(name, headers, accept)
            mended = frozenset(problems)
            headers = [headers[row] for row in stack.order]
        except VolumeError as error:
            refusal = error
    patient = max((header.patient for header in headers), default="")
    if not patient:
        # some series of a study may have lost the id; where all have, the study is as near as one gets
        patient = min(others) if len(others) == 1 else headers[0].study
    paths = tuple(header.path for header in headers)
    try:
        digest = fingerprint((), (), [_ends(path) for path in paths])
    except OSError:
        refusal, digest = VolumeError(name, [Reason.UNREADABLE], WHY[Reason.UNREADABLE]), ""
    return Found(name, "dicom", paths, patient, frozenset(aliases), digest, refusal, mended)


def _ends(path: Path) -> list[int | str]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        digest = hashlib.sha256(file.read(HEAD_BYTES))
        file.seek(max(0, size - TAIL_BYTES))
        digest.update(file.read(TAIL_BYTES))
    return [size, digest.hexdigest()]
