"""`model.json`: what a finished model is, and how to use it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data.atomic import write_json
from data.network_input import NetworkInput
from stages.volume_networks import is_volume_network


@dataclass(frozen=True)
class ModelCard:
    """`model.json`: all that is needed to use `model.safetensors` without this program.

    windows: of CT, in the order of the channels; stain: how colour patches are normalised first, None: not at all.
    """

    name: str
    timm_kwargs: dict[str, Any]
    classes: list[str]
    size_px: int
    mode: str
    mean: list[float]
    std: list[float]
    weights: str
    input: str
    depth: int = 1
    windows: list[dict[str, Any]] = field(default_factory=list)
    stain: dict[str, Any] | None = None

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @staticmethod
    def load(path: Path) -> "ModelCard":
        """Read what `save` wrote."""
        return ModelCard(**json.loads(path.read_text()))


def input_words(backbone: str, kind: NetworkInput, stain: bool) -> str:
    """What `model.json` says of the network's input, for whoever uses it elsewhere."""
    words = f"stain-normalise (Macenko et al. 2009) to `stain`: {kind.words()}" if stain else kind.words()
    return f"{words}; as (batch, windows, slices, height, width)" if is_volume_network(backbone) else words
