"""What the networks of a round see in patches, and the graphs along it."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from data.errors import ChainError, ExitCode
from stages.job import Job
from stages.predict.embedding import OF_ENCODER, OF_STYLE, OF_TEACHER, Embeddings, read_embeddings
from stages.select.propagate import Axes, Likeness, Propagate, together

Names = tuple[str, ...]


class Seen:
    """The patches of a graph, `ids`, as each network sees them. Raises ChainError (66, 76).

    beside, in what follows: how much networks that know no label count beside the teacher, from 0 to 1.
    """

    def __init__(self, files: Mapping[str, Path], ids: np.ndarray, section: Propagate) -> None:
        """files: by the name of what sees (`of_round`); ids: (N,) uint64 ascending."""
        self._section = section
        self._graphs: dict[Names, Likeness] = {}
        # of style each channel of every depth counts in a unit of its own
        self._sights = {
            name: _Sight(read_embeddings(path), ids, section.components, own_units=name == OF_STYLE)
            for name, path in files.items()
        }

    @cached_property
    def names(self) -> Names:
        """Of all that see."""
        return tuple(self._sights)

    @cached_property
    def unlearnt(self) -> Names:
        """Of those that know no label."""
        return tuple(name for name in self._sights if name != OF_TEACHER)

    @property
    def ways(self) -> list[Names]:
        """Along what labels tell each other: all that there is, and what knows none of them."""
        return [names for names in dict.fromkeys((self.names, self.unlearnt)) if names]

    def along(self, names: Names, beside: float) -> Likeness:
        """The graph by what these see, made once."""
        if names not in self._graphs:
            parts = {name: self._sights[name].inside for name in names}
            self._graphs[names] = Likeness(self._section, _points(parts, beside))
        return self._graphs[names]

    def points(self, ids: np.ndarray, beside: float) -> np.ndarray:
        """Of any patches, read now, by what all see: (M, D), beside the points of `along(names, beside)`."""
        return _points({name: sight.of(ids) for name, sight in self._sights.items()}, beside)


def of_round(job: Job) -> dict[str, Path]:
    """The files of what sees in this round, by name. Raises ChainError (78) where there is none."""
    # the encoder never learns, so the first round's word holds for all
    first = job.inputs.get("first_predict", job.inputs.get("previous_predict", job.inputs["predict"]))
    found = {OF_TEACHER: job.inputs["predict"] / OF_TEACHER, **{name: first / name for name in (OF_ENCODER, OF_STYLE)}}
    there = {name: path for name, path in found.items() if path.is_file()}
    if not there:
        raise ChainError(
            f"{job.address}: select.propagate has nothing to tell alike patches by",
            "the scores of this round were made without embeddings",
            "set predict.embeddings: true, or name a predict.encoder, and rerun RUN --from rounds/00/predict",
            ExitCode.MISMATCH,
        )
    return there


class _Sight:
    """What one network sees, as unit vectors; its axes are those of the patches of the graph, `ids`."""

    def __init__(self, embeddings: Embeddings, ids: np.ndarray, components: int, own_units: bool) -> None:
        values = embeddings.of(ids)
        self._embeddings, self._axes = embeddings, Axes(values, components, own_units)
        self.inside = self._axes.of(values)

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Of any patches, read now: (M, A)."""
        return self._axes.of(self._embeddings.of(ids))


def _points(parts: Mapping[str, np.ndarray], beside: float) -> np.ndarray:
    """Of patches, by what each network sees in them: (M, D). Without the teacher all count alike."""
    heard = {name: 1.0 if name == OF_TEACHER or OF_TEACHER not in parts else beside for name in parts}
    heard = {name: weight for name, weight in heard.items() if weight}
    return together([parts[name] for name in heard], list(heard.values()))
