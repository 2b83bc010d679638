"""From one configuration to those of a cross-validation: one a fold, and the last on all labels. Pure."""

import json
from typing import Any

from data.errors import ChainError, ExitCode
from pipeline.config.chain import ChainConfig
from pipeline.config.without_validation import refuse_what_needs_validation
from pipeline.plan import plan
from stages.train.config import TeacherConfig

# in the folds every round must exist to be judged, and the last chain has nothing to judge by
NO_GATE = {"gate": False}


def fold_config(config: ChainConfig, folds: int, fold: int) -> ChainConfig:
    """The chain that leaves one fold out."""
    return _changed(config, {"folds": folds, "fold": fold, "validation": 0}, config.rounds)


def last_config(config: ChainConfig, rounds: int) -> ChainConfig:
    """The chain on all labels, with so many rounds."""
    return _changed(config, {"folds": None, "fold": None, "validation": 0}, rounds)


def refuse_unfit(config: ChainConfig) -> None:
    """Raise ChainError (78) for a configuration that leaves a cross-validation nothing to do, or cannot go without."""
    splits = config.splits
    if splits.folds is not None:
        raise ChainError(
            f"splits.folds: {splits.folds}, splits.fold: {splits.fold}",
            "crossval runs through the folds by itself",
            "leave both out, and say how many with --folds",
            ExitCode.MISMATCH,
        )
    if splits.validation:
        raise ChainError(
            f"splits.validation: {splits.validation} takes labels away for good",
            "crossval lets every label judge once, and trains the last chain on all of them",
            "set splits.validation: 0; or keep it, and `run` judges by it",
            ExitCode.MISMATCH,
        )
    refuse_what_needs_validation(config)


def trainings(config: ChainConfig) -> int:
    """Networks that a chain of this configuration trains, if nothing ends it early."""
    sections = [config.section_of(step) for step in plan(config) if step.kind == "train"]
    return sum(len(section.each()) if isinstance(section, TeacherConfig) else 1 for section in sections)


def _changed(config: ChainConfig, splits: dict[str, Any], rounds: int) -> ChainConfig:
    tree = config.model_dump(mode="json")
    tree["splits"] |= splits
    tree |= {"rounds": rounds, "promote": NO_GATE}
    tree["per_round"] = {number: keys for number, keys in tree["per_round"].items() if int(number) < rounds}
    return type(config).model_validate_json(json.dumps(tree))
