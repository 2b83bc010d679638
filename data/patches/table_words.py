"""Words of tables that people fill: what they may call a split, and what stands for a value that was lost."""

import re

LOST = {"na", "n/a", "#n/a", "<na>", "nan", "null", "none", "unknown"}
LOST |= {"#ref!", "#name?", "#value!", "#div/0!", "#num!", "#null!"}  # errors of spreadsheets
# as spreadsheets write a number of many digits: the last are gone, and two names may have become one
_ROUNDED = re.compile(r"[0-9](?:[.,][0-9]+)?E\+[0-9]+")
SPLITS = {
    "": "",
    "train": "train",
    "labelled": "labelled",
    "labeled": "labelled",
    "pool": "pool",
    "unlabelled": "pool",
    "unlabeled": "pool",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}


def is_lost(text: str) -> bool:
    """Whether a cell, or a text of an array, stands for a value that was lost, and is nearly never a name."""
    return text.lower() in LOST or _ROUNDED.fullmatch(text) is not None
