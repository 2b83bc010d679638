"""The sections of a chain's configuration, together: a frozen value. It is read in `pipeline/config/reading.py`."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, model_validator

from data.config import DataConfig
from data.preparation import Preparation
from data.section import Section
from data.splits.config import SplitsConfig
from pipeline.plan import Step
from stages.predict.config import PredictConfig
from stages.promote.config import PromoteConfig
from stages.select.config import SelectConfig
from stages.train.config import StudentConfig, TeacherConfig

PARTIAL: dict[str, TypeAdapter[Any]] = {"select": TypeAdapter(SelectConfig), "student": TypeAdapter(StudentConfig)}


class PerRound(Section):
    """What one round does otherwise. Only the keys that differ; they are laid over the section of the same name."""

    select: dict[str, Any] | None = None
    student: dict[str, Any] | None = None


class ChainConfig(Section):
    """A whole experiment. One that also says how its patches are made is a `PreparingChain`."""

    seed: Annotated[int, Field(ge=0, description="of all random numbers of training and selection")] = 0
    rounds: Annotated[int, Field(ge=0, le=99, description="0: labels only, the first teacher is the result")] = 3
    data: DataConfig
    splits: SplitsConfig = SplitsConfig()
    teacher: TeacherConfig = TeacherConfig()
    predict: PredictConfig = PredictConfig()
    select: SelectConfig
    student: StudentConfig = StudentConfig()
    promote: PromoteConfig = PromoteConfig()
    prepare: Annotated[
        Preparation | None, Field(description="from slides or CT volumes to patches; read by the verb `prepare` only")
    ] = None
    per_round: dict[int, PerRound] = Field({}, description="round number, from 0 -> keys of select and student")

    @model_validator(mode="after")
    def _what_propagates_has_points(self) -> "ChainConfig":
        sections = [self.select.propagate, *((one.select or {}).get("propagate") for one in self.per_round.values())]
        if any(section is not None for section in sections) and not (self.predict.embeddings or self.predict.encoder):
            raise ValueError(
                "select.propagate tells alike patches by embeddings: set predict.embeddings: true, or name a "
                "predict.encoder"
            )
        return self

    def section_of(self, step: Step) -> Section:
        """The section that configures a step, with what its round does otherwise."""
        section: Section = getattr(self, step.section)
        changed = getattr(self.per_round.get(step.round), step.section, None) if step.section in PARTIAL else None
        if changed:
            merged = overlaid(section.model_dump(mode="json"), changed)
            section = PARTIAL[step.section].validate_json(json.dumps(merged))
        return section.of_round(step.round) if isinstance(section, StudentConfig) else section


def overlaid(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`change` laid over `base`, mappings key by key. Another rule replaces the section."""
    if "rule" in change and change["rule"] != base.get("rule"):
        return dict(change)
    merged = dict(base)
    for key, value in change.items():
        below = merged.get(key)
        merged[key] = overlaid(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged
