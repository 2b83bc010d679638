"""What cannot go without a validation split, said before anything runs."""

from data.errors import ChainError, ExitCode
from pipeline.config.chain import ChainConfig
from pipeline.plan import plan
from stages.select.rule import Rule


def refuse_what_needs_validation(config: ChainConfig) -> None:
    """Raise ChainError (78) for a chain without validation that has a rule which measures on it."""
    for step in plan(config):
        section = config.section_of(step)
        if isinstance(section, Rule) and "held_out" in section.needs:
            raise ChainError(
                f"{step.address}: select.rule: {section.rule} needs labelled validation patches",
                "it measures on them what it promises, and the splits have none",
                "give splits.validation a share or a number, or choose another rule",
                ExitCode.MISMATCH,
            )
