from pathlib import Path

import pytest

from pipeline.config.reading import load_config
from pipeline.crossval.configs import fold_config, last_config

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("name", ["demo", "slides", "ct"])
def test_folds_and_the_last_chain_differ_in_nothing_but_splits_rounds_and_the_gate(name: str) -> None:
    config = load_config(CONFIGS / f"{name}.yaml")
    own = {"splits", "rounds", "promote", "per_round"}
    for other in (fold_config(config, 3, 1), last_config(config, 1)):
        assert type(other) is type(config)
        assert other.model_dump(exclude=own) == config.model_dump(exclude=own)
