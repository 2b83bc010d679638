"""The verb `crossval`: a chain a fold, what they say together, and the last chain, on all labels."""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from data.errors import ChainError, ExitCode
from data.files.atomic import write_json
from data.keys import seed_of
from pipeline.config.chain import ChainConfig
from pipeline.crossval.configs import fold_config, last_config, refuse_unfit
from pipeline.crossval.one_store import offer_store
from pipeline.crossval.reading import Fold, read_fold, refuse_different_stores
from pipeline.crossval.shown import announcement, result_table
from pipeline.directory import ledger
from pipeline.directory.crossval import CrossLayout
from pipeline.directory.kind import refuse_other_than_crossval
from pipeline.directory.layout import Layout
from pipeline.directory.record import Stop
from pipeline.plan import FINAL
from pipeline.session import Session
from pipeline.views.text_table import duration
from stages.process.signals import Ended
from stages.promote.worth import choose

LOG = logging.getLogger("patchchain")
ADVICE = "there is no validation:"  # how the splits warn, and name this very verb as the way out


@dataclass(frozen=True)
class CrossValidation:
    """One start of the verb. open_session: a session on the run directory given; say: takes lines for people."""

    layout: CrossLayout
    open_session: Callable[[Layout], AbstractContextManager[Session]]
    say: Callable[[Sequence[str]], None]

    def run(self, config: ChainConfig, folds: int) -> Stop:
        """Begin, or go on; what is done is verified and not done again. Returns how the last chain ended.

        Raises what `Session.run` raises, with the name of the run before it, and ChainError (78) for a configuration
        or a directory that does not suit.
        """
        refuse_unfit(config)
        refuse_other_than_crossval(self.layout)
        self.layout.refuse_other_folds(folds)
        runs = [self.layout.fold(k) for k in range(folds)]
        self.say(announcement(config, [*runs, self.layout.chain]))
        made = not self.layout.root.exists()
        try:
            for k, run in enumerate(runs):
                self._advance(run, fold_config(config, folds, k))
                self._say_cost(run, folds - k)
        except ChainError:
            if made:
                with contextlib.suppress(OSError):  # only if the very first start was refused, and left nothing
                    self.layout.root.rmdir()
            raise
        refuse_different_stores(runs)
        found = _together(config, [read_fold(run) for run in runs])
        if not self.layout.result.is_file() or json.loads(self.layout.result.read_bytes()) != found:
            write_json(self.layout.result, found)
        self.say(result_table(found))
        with _unsaid(ADVICE):
            return self._advance(self.layout.chain, last_config(config, found["chosen"]))

    def _advance(self, run: Layout, config: ChainConfig) -> Stop:
        name = run.root.name
        LOG.info(f"{name}: {run.root}")
        first = self.layout.fold(0)
        if run != first:
            offer_store(first, run)
        try:
            with self.open_session(run) as session:
                return session.run(config)
        except ChainError as error:
            todo = error.todo
            if error.code == ExitCode.MISMATCH and run.config.exists():
                # what a single run may keep or take anew all of these have to have alike
                todo = f"restore what has changed, or name another OUT than {self.layout.root} (or remove it)"
            raise ChainError(f"{name}: {error.what}", error.why, todo, error.code) from error
        except Ended as ended:
            ended.at = f"{name}/{ended.at}"
            raise

    def _say_cost(self, run: Layout, left: int) -> None:
        spent = sum(ledger.seconds(run.ledger).values())
        if not self.layout.chain.stands(FINAL):
            LOG.info(f"{run.root.name}: done in {duration(spent)}; {left} chain{'s' * (left > 1)} of this kind to go")


@contextlib.contextmanager
def _unsaid(beginning: str) -> Iterator[None]:
    """Keep lines that begin so from the screen, not from the log of a step."""

    def told(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(beginning)

    handlers = list(LOG.handlers)
    for handler in handlers:
        handler.addFilter(told)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(told)


def _together(config: ChainConfig, folds: Sequence[Fold]) -> dict[str, Any]:
    """The content of crossval.json."""
    # where every chain has ended by itself, more rounds are the same models again
    reached = max(fold.reached for fold in folds)
    models = [[fold.models[n] for fold in folds] for n in range(reached + 1)]
    found = choose(config.promote, models, seed_of(config.seed, "crossval"))
    ended = [
        {"fold": k, "rounds": fold.reached, "reason": fold.stop.reason, "detail": fold.stop.detail}
        for k, fold in enumerate(folds)
        if fold.reached < config.rounds
    ]
    return found | {"folds": len(folds), "asked": config.rounds, "ended": ended}
