"""Say why nothing is left to draw validation or test from, before anything is drawn."""

from collections.abc import Callable

import numpy as np

from data.errors import ChainError, ExitCode
from data.patches.given import GIVEN_POOL, NOTHING
from data.splits.config import SplitsConfig
from data.splits.held_out import NAMES, drawable_rows, tied_to_given, wanted_shares
from data.splits.written import UNUSED


def refuse_nothing_free(
    codes: np.ndarray,
    given: np.ndarray,
    truth: np.ndarray,
    base: np.ndarray,
    groups: np.ndarray,
    whole: np.ndarray,
    config: SplitsConfig,
    place: Callable[[int], str],
) -> None:
    """Raises ChainError (65) when validation or test is to be drawn and no unit is free for it.

    base: (N,) patient, slide or patch; groups: (N,) pixels, of unused rows a group of their own; whole: (N,) what
    of these hangs together; place: a row in words. The rest as in `draw_held_out`.
    """
    drawable = drawable_rows(codes, given, truth)
    if (drawable & ~tied_to_given(given, whole)).any():
        return
    shares = wanted_shares(codes, drawable, config)
    asked = [(name, share) for name, share in zip(NAMES, shares, strict=True) if share]
    if not asked:
        return
    name, share = asked[0]
    what = f"splits.{name}: {share} asks to draw, but "
    if not drawable.any():
        raise _all_given(what, name, given, truth, codes)
    if not (drawable & ~tied_to_given(given, base)).any():
        raise ChainError(
            what + "every patient or slide with a patch free to draw also has patches whose split is given",
            "a patient or slide is never divided",
            f"give no split to some patients or slides, or set splits.{name}: 0",
            ExitCode.BAD_DATA,
        )
    one, other = _tie(given, base, groups, whole, drawable)
    todo = f"remove the copies, or set splits.{name}: 0"
    raise ChainError(
        what + f"every patch free to draw hangs by shared pixels on patches whose split is given, the first: "
        f"{place(one)} and {place(other)}",
        "patches with the same pixels are never divided",
        todo if config.duplicates == "drop" else f"set splits.duplicates: drop, {todo}",
        ExitCode.BAD_DATA,
    )


def _all_given(what: str, name: str, given: np.ndarray, truth: np.ndarray, codes: np.ndarray) -> ChainError:
    if not (truth >= 0).any():
        return ChainError(what + "no patch has a label", f"{name} is judged by labels",
                          "give a source with labels", ExitCode.BAD_DATA)  # fmt: skip
    aside = ((given == NOTHING) & (truth >= 0) & (codes == UNUSED)).any()
    return ChainError(
        what + "every labelled patch already has a split given by its source"
        + (", or is a copy or of the patient or slide of one that has" if aside else ""),
        "only patches without a given split are drawn",
        f"remove splits.{name} (its default then draws nothing), or leave the split of some rows empty",
        ExitCode.BAD_DATA,
    )  # fmt: skip


def _tie(
    given: np.ndarray, base: np.ndarray, groups: np.ndarray, whole: np.ndarray, drawable: np.ndarray
) -> tuple[int, int]:
    """Two rows with the same pixels, one of a unit that is free by itself, one that is given or beside such a one."""
    bound = tied_to_given(given, base)
    free = np.flatnonzero(~bound & np.isin(whole, whole[drawable & ~bound]))
    fixed = np.flatnonzero(bound & np.isin(groups, groups[free]))
    # the given patch itself says more than another of its patient
    fixed = fixed[np.argsort(np.isin(given[fixed], (NOTHING, GIVEN_POOL)), kind="stable")]
    other = int(fixed[0])
    same = free[groups[free] == groups[other]]
    # likewise the labelled one
    return int(same[np.argmax(drawable[same])]), other
