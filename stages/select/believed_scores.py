"""What a round believes of patches before temperature and alignment, read from the directories of its stages."""

from pathlib import Path

from stages.scores import Scores, read_scores

BELIEVED = "believed.h5"  # in a select stage whose rule propagates labels


def believed_scores(select: Path, predict: Path, part: str, mapped: bool = False) -> Scores:
    """What given labels tell of a part along the graph, where that was asked for; else the teacher's scores.

    select, predict: directories of that round's stages; mapped: as of `read_scores`. Raises ChainError (66, 76).
    """
    own = select / BELIEVED
    return read_scores(own if own.is_file() else predict / "scores.h5", part, mapped)
