"""`model.json`: what a finished model is, and how to use it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.files.atomic import write_json
from data.pixels.network_input import NetworkInput
from stages.networks.licences import Licence
from stages.networks.volume import is_volume_network

ENSEMBLE = "ensemble"
SHAPE = {"num_classes", "in_chans", "img_size", "channels", "depth"}  # see `stages.networks.create.network_kwargs`


@dataclass(frozen=True)
class MemberCard:
    """One network of an ensemble: its weights lie in `file`, and mean and std are those of its own input."""

    name: str
    timm_kwargs: dict[str, Any]
    mean: list[float]
    std: list[float]
    file: str


@dataclass(frozen=True)
class ModelCard:
    """`model.json`: all that is needed to use `model.safetensors` without this program.

    windows: of CT, in the order of the channels; stain: how colour patches are normalised first, None: not at all;
    input_px: the size to which patches of size_px are enlarged, None: not at all; members: of an ensemble, whose name
    is then `ensemble` and whose mean and std are the first one's; empty: one network in model.safetensors; licences: of
    all weights it descends from, those of the networks that labelled for it included.
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
    input_px: int | None = None
    members: list[MemberCard] = field(default_factory=list)
    licences: list[Licence] = field(default_factory=list)

    @property
    def shown(self) -> str:
        """What the model is, in a few words."""
        return f"an ensemble of {len(self.members)}" if self.members else self.name

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @staticmethod
    def load(path: Path) -> "ModelCard":
        """Read what `save` wrote. Raises ChainError (76) for anything that asks for more than a network's shape."""
        try:
            plain = json.loads(path.read_text())
            members = [MemberCard(**member) for member in plain.pop("members", [])]
            licences = [Licence(**licence) for licence in plain.pop("licences", [])]
            card = ModelCard(**plain, members=members, licences=licences)
            # timm would also take paths and addresses of weights here
            asked = card.timm_kwargs.keys() | {name for member in card.members for name in member.timm_kwargs}
            if strange := asked - SHAPE:
                raise ValueError(f"timm_kwargs holds {sorted(strange)[0]!r}")
            if strangers := [one.file for one in card.members if Path(one.file).name != one.file]:
                raise ValueError(f"{strangers[0]!r} is no file beside it")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ChainError(
                f"{path} is no description of a model of this program",
                str(error),
                "see which step to make again: `verify RUN`",
                ExitCode.DAMAGED,
            ) from error
        return card


def input_words(
    backbone: str, kind: NetworkInput, stain: bool, input_px: int | None = None, several: bool = False
) -> str:
    """What `model.json` says of the network's input, for whoever uses it elsewhere."""
    words = f"stain-normalise (Macenko et al. 2009) to `stain`: {kind.words()}" if stain else kind.words()
    if input_px is not None:
        words += f"; then enlarge bilinearly to {input_px} x {input_px} px"
    if is_volume_network(backbone):
        words += "; as (batch, windows, slices, height, width)"
    if several:
        words = f"for each of `members`, with its own mean and std: {words}; average their probabilities"
    return words
