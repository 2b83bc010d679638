"""What a name of a source may be: labels, patients, slides, sites and keys."""

import re
from collections.abc import Iterable

from data.errors import ChainError, ExitCode
from data.patches.record import Record
from data.printable import shortened

# these would let one line of a listing pass for two, or end a text early
_SEPARATORS = re.compile("[\0\n\r\x1f]")
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


def but_for_case(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two names that are the same but for upper and lower case; None: there are no such."""
    first: dict[str, str] = {}
    for name in map(str, names):
        if (other := first.setdefault(name.casefold(), name)) != name:
            return other, name
    return None
