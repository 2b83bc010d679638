"""What a finished model said of validation, where it has to be there."""

from pipeline.directory.layout import Layout
from pipeline.directory.record import damaged
from stages.measures.judged import FILE, Judged, read_judged


def judged_of(layout: Layout, address: str) -> Judged:
    """Raises ChainError (76) where the file is gone or damaged."""
    judged = read_judged(layout.place(address))
    if judged is None:
        raise damaged(layout, address, f"{address}/{FILE} is missing")
    return judged
