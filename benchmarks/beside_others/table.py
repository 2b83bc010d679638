"""The table in Markdown: medians and quartiles."""

from collections.abc import Sequence

import numpy as np

from benchmarks.beside_others.sides import SIDES
from benchmarks.beside_others.turns import Turn

NAMES = {"ours": "this chain", "wilds": "WILDS, Noisy Student", "sklearn": "SelfTrainingClassifier, frozen features"}
HEADS = (
    "side", "s", "of the processor, s", "peak MiB", "balanced accuracy, %",
    "killed half way: s more", "steps", "steps again", "balanced accuracy then, %",
)  # fmt: skip


def table(turns: Sequence[Turn]) -> str:
    """A row a side that has run, and below it how much longer WILDS takes."""
    lines = ["| " + " | ".join(HEADS) + " |", "|---" * len(HEADS) + "|"]
    for side in SIDES:
        if own := [one for one in turns if one.side == side]:
            lines.append("| " + " | ".join([NAMES[side], *_cells(own)]) + " |")
    whole = {side: [one for one in turns if one.side == side and one.killed_s is None] for side in ("ours", "wilds")}
    if all(whole.values()):
        clock, processor = (
            np.median([getattr(one, name) for one in whole["wilds"]])
            / np.median([getattr(one, name) for one in whole["ours"]])
            for name in ("clock_s", "processor_s")
        )
        lines.append(f"\nWILDS takes {clock:.2f} times as long by the clock, {processor:.2f} times of the processor.")
    return "\n".join(lines)


def _cells(own: Sequence[Turn]) -> list[str]:
    whole = {one.turn: one for one in own if one.killed_s is None}
    again = [one for one in own if one.killed_s is not None and one.turn in whole]
    first = list(whole.values())
    cells = [spread([one.clock_s for one in first]), spread([one.processor_s for one in first])]
    cells += [spread([one.peak_mib for one in first]), spread([100 * one.accuracy for one in first], 1)]
    cells += [spread([one.clock_s - whole[one.turn].clock_s for one in again])]
    cells += [spread([one.steps for one in first]), spread([one.steps - whole[one.turn].steps for one in again])]
    return [*cells, spread([100 * one.accuracy for one in again], 1)]


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Median, and the quartiles where there are several values and they differ."""
    if not len(values):
        return ""
    middle, low, high = (f"{np.percentile(values, q):,.{digits}f}" for q in (50, 25, 75))
    return middle if low == high else f"{middle} ({low}-{high})"
