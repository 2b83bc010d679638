"""MC-dropout: how much a network's opinion moves when parts of it are dropped (Gal and Ghahramani 2016).

Dropout and stochastic depth are active in these passes alone; normalisation keeps its running statistics. A network
is rebuilt with the rates of `predict`, because timm takes them when a network is made and `model.json` leaves them
out; the weights are the same. With a teacher that was trained without dropout (the first one) the deviation is not
a posterior's, but it still tells what hangs on single features from what does not.
"""

import torch

from data.errors import ChainError, ExitCode
from data.keys import seed_of
from data.pixels.network_input import NetworkInput
from stages.networks.create import create, network_kwargs, network_of
from stages.networks.model_card import ModelCard
from stages.predict.config import PredictConfig
from stages.train.config import TrainConfig


def rebuilt(network: torch.nn.Module, card: ModelCard, section: PredictConfig) -> torch.nn.Module:
    """The same weights in a network that can drop, in eval mode; itself where no passes are asked for.

    card: of the network. Raises ChainError (78) when this backbone takes no such noise.
    """
    if not section.mc_passes:
        return network
    again = network_of(card, section.mc_kwargs(), "predict.mc_dropout")
    again.load_state_dict(network.state_dict(), strict=True)
    return again.eval()


def dropping(network: torch.nn.Module) -> torch.nn.Module:
    """Switch on dropout and stochastic depth, and nothing else. Undone by `eval()`."""
    network.train()
    for module in network.modules():
        # what follows running statistics in training would move them, and score a batch by its company
        if any(name in module._buffers for name in ("running_mean", "running_var")):
            module.eval()
    return network


def deviation(network: torch.nn.Module, image: torch.Tensor, passes: int, seed: int) -> torch.Tensor:
    """Standard deviation (unbiased) of each probability over `passes`: (B, K) float32. image: normalised (B, C, H, W).

    Draws are keyed by (seed, pass), so a batch that is scored again gets the same. Leaves the network in eval mode.
    """
    dropping(network)
    total, squares = None, None
    for number in range(passes):
        torch.manual_seed(seed_of(seed, "pass", number))
        probs = network(image).double().softmax(1)
        if total is None or squares is None:
            first, total, squares = probs, torch.zeros_like(probs), torch.zeros_like(probs)
        away = probs - first  # from the first pass: the difference of large sums would cancel
        total += away
        squares += away * away
    network.eval()
    assert total is not None
    assert squares is not None
    variance = (squares - total * total / passes) / (passes - 1)
    return variance.clamp_min(0).sqrt().float()


def refuse_unmoved(network: torch.nn.Module, channels: int, size_px: int, what: str) -> None:
    """Raise ChainError (78) when two passes agree to the last bit: this network drops nothing."""
    image = torch.randn(2, channels, size_px, size_px, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        moved = deviation(network, image.to(next(network.parameters()).device), 4, seed=0).max()
    if float(moved) == 0:
        raise ChainError(
            f"predict.mc_passes: {what} gives the same scores with dropout as without",
            "this backbone has nothing that predict.mc_dropout or predict.mc_drop_path would drop",
            "choose another backbone, set the other of the two rates, or set predict.mc_passes: 0",
            ExitCode.MISMATCH,
        )


def check_dropout(section: TrainConfig, predict: PredictConfig, num_classes: int, kind: NetworkInput) -> list[str]:
    """Would networks of this section give deviations? Lines for people; nothing where none are asked for.

    Raises ChainError (78). Asked by `check`, with random weights, before hours are spent.
    """
    if not predict.mc_passes:
        return []
    kwargs = network_kwargs(section, num_classes, kind) | predict.mc_kwargs()
    network = create(section.backbone, kwargs, "predict.mc_dropout")
    refuse_unmoved(network, kind.channels, kind.size_px, section.backbone)
    return [f"predict: {predict.mc_passes} passes of {section.backbone} with dropout differ"]
