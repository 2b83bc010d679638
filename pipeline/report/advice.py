"""What an alarm, or the end of a chain, means and what to do about it."""

import re
from collections.abc import Iterable, Sequence

# how the words of an alarm begin, a regular expression, and what to do
ADVICE = (
    ("collapse", "Look at the gallery of the class that grows. Set select.rule: top_k or balanced with a smaller k, or "
     "select.align: labelled, then rerun from this round's select."),
    ("class .*: no threshold proves ", "This round's student learns the class from its given labels alone. Do what "
     "the alarm says, or keep by rank, which proves nothing: select.rule: top_k or balanced."),
    ("agreement: no second opinion ", "Of a first round nothing is wrong with that. Set teacher.snapshots to have "
     "earlier states of the first teacher asked as well."),
    ("class ", "Compare the class's surest patches with its labels. If the pool has that share, nothing is wrong; if "
     "not, use select.rule: balanced or select.align: labelled, or label some patches of the class."),
    ("the pool does not hold", "Who labels as many patches of every class brings this about, and nothing is wrong. "
     "Compare the shares with what you know of the pool; patches drawn from it and labelled would say it best."),
    ("labels are of ", "Label a few patches of other patients or slides (`review export` names those that tell most), "
     "or let some validate. Until then confidence in the others is a guess."),
    ("labels are too few", "Label a second patch of each class, of another patient or slide. Until then keep by rank "
     "(select.share), not by confidence."),
    ("agreement between rounds falls", "The chain is changing its mind: look at the flipped patches. The model of the "
     "round before may be the better one; fewer rounds, or select.rule: agreement, keep what is stable."),
    ("five ", "A few slides or patients teach the student. Look at them below: stain, artefacts, a rare tissue? Set "
     "select.k lower, or leave the slides out."),
    ("the predicted class of", "More than half of the pool changed sides. Look at the flip table: two classes that "
     "swap are often one class under two names."),
    ("the temperature is as low as it goes", "All of the few labels were told right: how sure one may be nobody "
     "knows yet. More labels that validate would tell."),
    ("the temperature is at its limit", "Confidence says little here. Add validation labels, or train the teacher "
     "for fewer steps or with more noise."),
)  # fmt: skip
OTHERWISE = "Look at the galleries of this round before you believe it."

STOPS = {
    "max_rounds": "All rounds that were asked for were run.",
    "pool_exhausted": "Every pool patch is used: another round would train on the same set.",
    "no_change": "The same patches were kept under the same labels as in the round before: it has settled.",
    "no_gain": "Validation says that the last student is worse than its teacher, or than the first one: the teacher is "
    "the result.",
    "one_class": "The teacher believes in one class alone, and no label would judge what a student makes of that. Use "
    "select.rule: balanced or top_k, select.propagate, or labels to validate.",
    "nothing_selected": "No pool patch was sure enough. Lower the bar of select.rule, or add labels.",
}


def alarms_of(rounds: Iterable[tuple[int, Sequence[str]]]) -> list[tuple[str, str]]:
    """Which rounds raised an alarm, in words, and the alarm: once for all that raised it, by the last of them."""
    raised: dict[str, list[int]] = {}
    for number, found in rounds:
        for alarm in found:
            raised.setdefault(alarm, []).append(number)
    each = sorted(raised.items(), key=lambda item: item[1][-1])
    return [(f"round{'s' * (len(of) > 1)} {', '.join(map(str, of))}", alarm) for alarm, of in each]


def advice(alarm: str) -> str:
    """What to do about an alarm of quality.json."""
    return next((words for beginning, words in ADVICE if re.match(beginning, alarm)), OTHERWISE)


def meaning(reason: str) -> str:
    """What a named stop means."""
    return STOPS.get(reason, "")
