"""Labels in doubt as cards."""

from dataclasses import dataclass

from pipeline.report.cards import Card, Cards, said
from pipeline.report.run import Run
from pipeline.report.suspects import WORDS, Suspects

TITLES = {"labelled": "Labels that train", "validation": "Validation labels", "test": "Test labels"}


@dataclass(frozen=True)
class SuspectsView:
    """One split. words: who judged; total: labels in doubt, of looked_at."""

    title: str
    words: str
    total: int
    looked_at: int
    cards: list[Card]


def suspects_view(run: Run, found: Suspects, cards: Cards, each: int) -> SuspectsView:
    """The most doubtful `each` of them."""
    names = [said(name, 40) for name in run.classes]
    shown = []
    for k in range(min(each, len(found))):
        notes = [f"given: {names[found.given[k]]}", f"looks: {names[found.looks[k]]}"]
        shown.append(cards.card(int(found.ids[k]), found.probs[k], notes))
    return SuspectsView(TITLES[found.split], WORDS[found.split], len(found), found.looked_at, shown)
