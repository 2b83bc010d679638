"""What WILDS' examples (2.0) need to start on a folder of patches with today's libraries. Three stand-ins:

1. `transformers` is imported for every data set, for `AdamW` and two schedules, and its `AdamW` is gone from it. A
   module of that name takes its place, with torch's AdamW and the same schedules; the rest of it is for texts only.
2. `wilds` and `configs.datasets` know their own sets by name: the folder is registered beside them (wilds_set.py).
3. The network under the name of a torchvision one is timm's, as the chain builds it: the chain knows networks and
   their ImageNet weights by timm's names, WILDS by torchvision's.
"""

import math
import os
import sys
from types import ModuleType
from typing import Any

from benchmarks.beside_others.setting import Setting
from benchmarks.beside_others.wilds_set import NAME, defaults, labelled_set, pool_set

NETWORK = "BESIDE_OTHERS_NETWORK"
# timm's name of the last layer -> a network of which WILDS replaces a layer of that name
UNDER = {"fc": "resnet18", "classifier": "densenet121"}


def install() -> None:
    """All three; `wilds` and the examples are on sys.path."""
    sys.modules["transformers"] = transformers()
    register()
    import timm
    import torchvision

    network = os.environ[NETWORK]
    for name in UNDER.values():
        setattr(torchvision.models, name, lambda **_: timm.create_model(network))


def transformers() -> ModuleType:
    """What the examples import of it."""
    from torch.optim import AdamW
    from torch.optim.lr_scheduler import LambdaLR

    module: Any = ModuleType("transformers")
    module.AdamW = AdamW

    def linear(optimizer: Any, num_warmup_steps: int, num_training_steps: int) -> Any:
        return LambdaLR(optimizer, lambda step: share(step, num_warmup_steps, num_training_steps, "linear"))

    def cosine(optimizer: Any, num_warmup_steps: int, num_training_steps: int) -> Any:
        return LambdaLR(optimizer, lambda step: share(step, num_warmup_steps, num_training_steps, "cosine"))

    module.get_linear_schedule_with_warmup, module.get_cosine_schedule_with_warmup = linear, cosine
    module.__getattr__ = _for_texts
    return module


def _for_texts(name: str) -> type:
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {})


def share(step: int, warmup: int, steps: int, kind: str) -> float:
    """Of the peak learning rate, as transformers has it: straight up, then straight or by half a cosine down to 0."""
    if step < warmup:
        return step / max(1, warmup)
    past = (step - warmup) / max(1, steps - warmup)
    return max(0.0, 1 - past) if kind == "linear" else max(0.0, 0.5 * (1 + math.cos(math.pi * past)))


def register() -> None:
    """The folder, as a set of WILDS."""
    import wilds
    from wilds.datasets.unlabeled.wilds_unlabeled_dataset import WILDSUnlabeledDataset
    from wilds.datasets.wilds_dataset import WILDSDataset

    from configs import datasets  # type: ignore[attr-defined]  # of the examples

    known = wilds.get_dataset
    given, pool = labelled_set(WILDSDataset), pool_set(WILDSUnlabeledDataset)

    def get_dataset(dataset: str, version: Any = None, unlabeled: bool = False, **words: Any) -> Any:
        if dataset != NAME:
            return known(dataset, version, unlabeled, **words)
        return (pool if unlabeled else given)(version=version, **words)

    wilds.supported_datasets.append(NAME)
    wilds.unlabeled_datasets.append(NAME)
    wilds.get_dataset = get_dataset
    datasets.dataset_defaults[NAME] = defaults()


def wilds_name(network: str, setting: Setting) -> str:
    """What to ask WILDS for, to get this network. Raises ValueError where its last layer has another name."""
    import timm

    classifier = timm.create_model(network).pretrained_cfg.get("classifier")
    if classifier not in UNDER:
        raise ValueError(f"{setting.network}: its last layer is {classifier!r}; WILDS replaces {' or '.join(UNDER)}")
    return UNDER[classifier]
