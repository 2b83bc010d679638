"""What the sources say of each patch before anything is drawn."""

import numpy as np

from data.patches.table import Column

# codes of what is given; NOTHING: to be drawn; TRAIN: labelled or pool, to be drawn
GIVEN = ("", "train", "labelled", "pool", "validation", "test")
NOTHING, TRAIN, GIVEN_LABELLED, GIVEN_POOL, GIVEN_VALIDATION, GIVEN_TEST = range(6)


def given_codes(split: Column, part: Column) -> np.ndarray:
    """(N,) int8 into GIVEN: the part a source plays or, in sources to be split, the row's own split."""
    own, whole = (
        np.array([GIVEN.index(str(name)) if name != "split" else NOTHING for name in column.names] + [NOTHING])
        for column in (split, part)
    )
    to_split = np.array([name == "split" for name in part.names] + [True])
    given: np.ndarray = np.where(to_split[part.codes], own[split.codes], whole[part.codes]).astype(np.int8)
    return given
