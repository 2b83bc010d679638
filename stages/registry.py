"""Every kind of stage: its version, which is part of every recipe, and the module whose `run(job) -> str` does it."""

from typing import NamedTuple


class Kind(NamedTuple):
    """`version` is raised when the same recipe would give other bytes. `module` is imported only to run the stage.

    ranks: whether it can be divided among processes, one a device.
    """

    version: int
    module: str
    ranks: bool = False


KINDS = {
    "ingest": Kind(1, "stages.ingest"),
    "split": Kind(1, "stages.split"),
    "train": Kind(11, "stages.train.stage", ranks=True),
    "predict": Kind(6, "stages.predict.stage", ranks=True),
    "select": Kind(11, "stages.select.stage"),
    "promote": Kind(6, "stages.promote.stage"),
}
