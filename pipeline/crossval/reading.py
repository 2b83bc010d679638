"""What the finished chain of a fold says of the fold it never saw, after each number of rounds."""

from dataclasses import dataclass

from data.errors import ChainError, ExitCode
from pipeline.directory.layout import Layout
from pipeline.directory.record import Stop, read_record
from pipeline.plan import FINAL, STORE, at
from pipeline.views.judged import judged_of
from pipeline.views.status import rounds_of, stopped_at
from stages.measures.judged import Judged


@dataclass(frozen=True)
class Fold:
    """models[n]: what the model after n rounds says; where a chain has ended before, the teacher it kept.

    reached: rounds that were run to the end; stop: why there are no more.
    """

    models: list[Judged]
    reached: int
    stop: Stop


def read_fold(layout: Layout) -> Fold:
    """The directory of a finished chain. Raises ChainError (76) when something of it is missing or damaged."""
    rounds, stop = rounds_of(layout).rounds, stopped_at(layout)
    assert stop is not None, "the chain is finished"
    standing = [n for n in range(rounds) if layout.stands(at(n, "teacher"))]
    # a chain that ends by itself does so in selecting: the student of that round was never trained
    reached = rounds if len(standing) == rounds and stop.reason == "max_rounds" else len(standing) - 1
    addresses = [at(n, "teacher") if n < rounds and n <= reached else FINAL for n in range(rounds + 1)]
    return Fold([judged_of(layout, address) for address in addresses], reached, stop)


def refuse_different_stores(folds: list[Layout]) -> None:
    """Raise ChainError (78) where the folds were cut from different patches: the sources have changed between them."""
    digests = [read_record(layout.place(STORE), STORE, layout).digest for layout in folds]
    other = next((k for k, digest in enumerate(digests) if digest != digests[0]), None)
    if other is not None:
        raise ChainError(
            f"{folds[other].root} holds other patches than {folds[0].root}",
            "the sources have changed since the first fold was begun, and folds of different patches do not add up",
            "begin again in a new directory",
            ExitCode.MISMATCH,
        )
