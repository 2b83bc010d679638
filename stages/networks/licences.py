"""Whose weights a model descends from, and under which licence.

Several licences of pathology encoders also cover what their models say of a patch, and models trained on it: so what a
teacher began with goes with its labels, and with whatever student learns from them.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.files.atomic import write_json
from data.section import content_digest
from stages.networks.init.config import Init

FILE = "licences.json"


@dataclass(frozen=True)
class Licence:
    """weights: what timm calls those it fetched, or the digest of a file; licence: None: nobody has said."""

    weights: str
    licence: str | None


def licences_of(backbone: str, init: Init) -> list[Licence]:
    """Of the first weights of a network; none where they are random. `init.licence` goes before what timm says."""
    if init.kind == "random":
        return []
    if init.path is not None:
        return [Licence(content_digest(init.path), init.licence)]
    import timm

    known = timm.models.get_pretrained_cfg(backbone) if timm.is_model(backbone) else None
    if known is None:
        return [Licence(backbone, init.licence)]
    return [Licence(known.hf_hub_id or f"timm/{backbone}", init.licence or known.license)]


def together(*several: Iterable[Licence]) -> list[Licence]:
    """Each once, in the order of the weights' names."""
    return sorted({one for some in several for one in some}, key=lambda one: (one.weights, one.licence or ""))


def plain(licences: Iterable[Licence]) -> list[dict[str, Any]]:
    """As JSON values."""
    return [asdict(one) for one in licences]


def save(licences: Iterable[Licence], directory: Path) -> None:
    """Write licences.json."""
    write_json(directory / FILE, plain(licences))


def load(directory: Path) -> list[Licence]:
    """What `save` wrote. Raises ChainError (76)."""
    try:
        return [Licence(**one) for one in json.loads((directory / FILE).read_bytes())]
    except (OSError, ValueError, TypeError) as error:
        raise ChainError(
            f"{directory / FILE} cannot be read", str(error), "see which step to make again: `verify RUN`",
            ExitCode.DAMAGED,
        ) from error  # fmt: skip
