"""Fill a new network as `init` says, count what was loaded, and refuse to load less than was asked for."""

from collections.abc import Collection, Mapping

import torch

from data.errors import ChainError, ExitCode
from stages.networks.init.config import Init
from stages.networks.init.donor import Donor, fitted
from stages.networks.init.frozen import freeze
from stages.networks.init.groups import classifier_of, count_stages, stages_of
from stages.networks.init.mean_var import drawn_like


def begin(model: torch.nn.Module, init: Init, donor: Donor, key: str) -> str:
    """Change the network's first weights; returns how many tensors came from where, in words.

    Mean-Var draws its seed from torch's global generator. Raises ChainError (78), naming `key`, when any tensor that
    this kind of `init` promises is absent from the donor or of another shape: half a transfer is worse than a refusal.
    """
    body = frozenset(model.state_dict()) - classifier_of(model)
    wanted, what = body, "all but the classifier"
    if init.kind in ("prefix", "slim"):
        stages = stages_of(model, f"{key}.kind")
        copied, there = init.copied_stages, count_stages(stages)
        if copied > there:
            raise ChainError(
                f"{key}.stages: {_named(model)} has {there} stages, not {copied}",
                "a prefix is the stem and so many stages after it",
                f"set it to at most {there}, or init.kind: full",
                ExitCode.MISMATCH,
            )
        wanted = frozenset(name for name in body if stages[name] <= copied)
        what = f"the stem and {copied} of {there} stages; the rest is random"
    tensors = fitted(donor, model)
    refuse_misfit(model, tensors, wanted, f"{key}.path", donor.shown)
    taken = {name: tensors[name] for name in wanted if name in tensors}
    if init.kind == "mean_var":
        taken = drawn_like(model, taken, int(torch.randint(2**62, (1,))))
        what = "drawn anew with their means and deviations; statistics of normalisation as in a new network"
    # a classifier that says nothing yet: timm begins with values up to 0.7, and the large gradients of what they say
    # by chance tear at what was just taken over (Kumar et al., ICLR 2022), at worst until nothing of it is left
    silent = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items() if name not in body}
    model.load_state_dict(taken | silent, strict=False)
    if init.kind == "frozen":
        freeze(model, wanted)
        what += ", which alone is trained"
    return f"{init.kind}: {len(taken)} of {len(model.state_dict())} tensors from {donor.shown} ({what})"


def refuse_misfit(
    model: torch.nn.Module, tensors: Mapping[str, torch.Tensor], wanted: Collection[str], key: str, shown: str
) -> None:
    """Raise ChainError (78) unless `tensors` has every one that is `wanted`, in the network's shape."""
    own = model.state_dict()
    absent = sorted(name for name in wanted if name not in tensors and not name.endswith("num_batches_tracked"))
    misfit = sorted(name for name in wanted if name in tensors and tensors[name].shape != own[name].shape)
    if not absent and not misfit:
        return
    example = (absent + misfit)[0]
    todo = "name the backbone these weights were trained as, with timm's tensor names"
    if not absent and all("pos_embed" in name for name in misfit):
        # a transformer of the right kind for images of another size
        todo = "position embeddings fit one size: give it images of that size (data.size_px with data.resize: true; "
        todo += "of an encoder predict.encoder.size_px)"
    theirs = f"; the file's begin with {sorted(tensors)[0]}" if absent and tensors else ""
    raise ChainError(
        f"{key}: {shown} does not fit {_named(model)}",
        f"of {len(wanted)} tensors {len(absent)} are absent and {len(misfit)} have another shape, "
        f"for instance {example}{theirs}",
        todo,
        ExitCode.MISMATCH,
    )


def _named(model: torch.nn.Module) -> str:
    return str(getattr(model, "pretrained_cfg", {}).get("architecture", type(model).__name__))
