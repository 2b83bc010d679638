"""The patches of one slide into its store: read by threads, kept in order, or named in the quarantine table."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.errors import ChainError, ExitCode
from data.in_order import CHUNK, in_order
from data.patches.ids import patch_id
from data.patches.quarantine import Quarantined, write_quarantine
from data.pixels.bad_patch import BadPatch
from data.preparation import Progress
from data.prepared import QUARANTINE, STORE
from data.slides.config import SlidesConfig
from data.slides.placing import Place
from data.slides.taking import Taker
from data.store.writer import writing_store

SOURCE, PART = "slides", "split"
# once over the limit the slide is certain to fail, and each further failure may open it anew
ENOUGH_BAD = 200
TASK_PX = 16 * 512 * 512  # pixels of a task: results wait in memory


@dataclass(frozen=True)
class Stored:
    """kept: in the order of the store; bad: in quarantine; left_out: how many, by the column that leaves them out."""

    kept: list[Place] = field(default_factory=list)
    bad: list[Quarantined] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


class _NothingKept(Exception):  # noqa: N818 - no error: there is then no store
    pass


def store_patches(
    config: SlidesConfig, shown: str, places: Sequence[Place], take: Taker, out: Path, threads: int, progress: Progress
) -> Stored:
    """Write quarantine.csv and, where anything is kept, patches.h5. Raises ChainError (65): too many unreadable."""
    stored = Stored()
    with contextlib.suppress(_NothingKept), writing_store(out / STORE, "rgb8", config.size_px) as writer:
        chunk = max(1, min(CHUNK, TASK_PX // config.size_px**2))
        results = in_order(places, take, threads, chunk)
        for done, (place, taken) in enumerate(results, 1):
            if isinstance(taken, BadPatch):
                stored.bad.append(Quarantined(SOURCE, place.key, taken.reason))
            elif taken.left_out:
                stored.left_out[taken.left_out] += 1
            else:
                writer.add(patch_id(SOURCE, place.key), taken.record, SOURCE, PART, taken.digest, taken.content)
                stored.kept.append(place)
            if done % chunk == 0 or done == len(places):
                progress(done, len(places))
            if len(stored.bad) >= ENOUGH_BAD and len(stored.bad) > config.quarantine_limit * len(places):
                results.close()
                break
        write_quarantine(out / QUARANTINE, stored.bad)
        _check(config, shown, len(places), stored.bad)
        if not stored.kept:
            raise _NothingKept
        writer.classes = tuple(sorted({place.label for place in stored.kept} - {""}))
    return stored


def _check(config: SlidesConfig, shown: str, listed: int, bad: Sequence[Quarantined]) -> None:
    if bad and (len(bad) > config.quarantine_limit * listed or len(bad) == listed):
        raise ChainError(
            f"{shown}: {len(bad):,} of its {listed:,} patches cannot be read; "
            f"prepare.quarantine_limit is {config.quarantine_limit:.1%}",
            "; ".join(f"{row.key}: {row.reason[:110]}" for row in bad[:2]),
            "copy the slide again from its origin, or raise prepare.quarantine_limit",
            ExitCode.BAD_DATA,
        )
