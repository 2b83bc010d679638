"""What people call the columns of their tables, and what they mean by it."""

import re

_ENDINGS = ("_id", "id", "_name", "_number", "_no", "_nr", "s")  # taken off in this order
_MEANT = {
    "clas": "label",  # less its s
    "classe": "label",
    "file": "path",
    "filename": "path",
    "center": "site",
    "centre": "site",
    "case": "patient",
    "subject": "patient",
    "patienten": "patient",
    "wsi": "slide",
}


def meant(name: str) -> str:
    """The column that a header means, whatever its case, spacing and ending: `Patient ID`, `case` are `patient`."""
    plain = "_".join(re.findall(r"\w+", name.lower().replace("-", " ")))
    for ending in _ENDINGS:
        plain = plain.removesuffix(ending)
    return _MEANT.get(plain.rstrip("_"), plain.rstrip("_"))
