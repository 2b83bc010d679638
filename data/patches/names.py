"""What a name of a source may be: labels, patients, slides, sites and keys."""

import re
import unicodedata
from collections.abc import Iterable

from data.errors import ChainError, ExitCode
from data.patches.record import Record
from data.printable import shortened

# these would let one line of a listing pass for two, or end a text early
_SEPARATORS = re.compile("[\0\n\r\x1f]")
_WHOLE = re.compile(r"0*([0-9]+)(?:\.0*)?")
LONGEST_LABEL = 200


def check_names(record: Record, where: str) -> None:
    """Raises ChainError (65) for a name with a separator in it, or a label that is no name. where: for the message."""
    for field in ("key", "label", "patient", "slide", "site"):
        name = getattr(record, field)
        if _SEPARATORS.search(name):
            raise ChainError(
                f"{where}: the {field} {shortened(name)!r} is refused",
                "names hold no NUL, line break or separator",
                "rename it",
                ExitCode.BAD_DATA,
            )
    if len(record.label) > LONGEST_LABEL:
        raise ChainError(
            f"{where}: the label {shortened(record.label)!r} has {len(record.label):,} characters",
            f"a label is the name of a class, of at most {LONGEST_LABEL} characters",
            "correct it: is this another column, or an open quotation mark?",
            ExitCode.BAD_DATA,
        )


def refuse_blank_twins(classes: Iterable[str]) -> None:
    """Raises ChainError (65) for two classes that only blanks at their ends tell apart: no table or sheet can."""
    first: dict[str, str] = {}
    for name in sorted(map(str, classes)):
        if (other := first.setdefault(name.strip(), name)) != name:
            raise ChainError(
                f"the classes {shortened(other)!r} and {shortened(name)!r} differ in blanks at their ends alone",
                "people see one class there, and wherever labels are typed the two cannot be told apart",
                "rename one (its folder, its label in the source, or in data.classes)",
                ExitCode.BAD_DATA,
            )


def alike(names: Iterable[str]) -> tuple[str, str, str] | None:
    """The first two names that people write for one thing, and in what alone they differ; None: there are no such."""
    first: dict[str, str] = {}
    for name in map(str, names):
        if (other := first.setdefault(_plain(name), name)) != name:
            case = other.casefold() == name.casefold()
            return other, name, "case" if case else "case, spaces, zeros or the encoding of letters"
    return None


def _plain(name: str) -> str:
    # NFC in a table is NFD in names of files from a Mac; spreadsheets make 7 of 007, and 7.0 where one cell is empty
    plain = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    number = _WHOLE.fullmatch(plain)
    return number[1] if number else plain
