"""What a configuration says of training must suit its kind of patches: checked here, across sections."""

from collections.abc import Iterator, Sequence
from typing import Any

from data.augment.noise import Noise, misplaced, preset_for
from data.errors import ChainError, ExitCode
from pipeline.config.chain import ChainConfig
from pipeline.config.overrides import Source
from pipeline.config.yaml_text import Place
from pipeline.plan import plan
from stages.select.rule import Rule
from stages.train.config import VOLUME_PREFIX, StudentConfig, TeacherConfig, TrainConfig

DEFAULT_NOISE = {"teacher": "weak", "student": "strong"}
FINETUNE_NOISE = {"noise": "weak"}


def with_presets(tree: dict[str, Any]) -> dict[str, Any]:
    """A copy of a configuration's tree where `weak` and `strong`, written or left out, are those of its patches."""
    data = tree.get("data")
    if not isinstance(data, dict) or data.get("mode") != "hu16":
        return tree
    tree = dict(tree)
    for role, default in DEFAULT_NOISE.items():
        section = tree.get(role, {})
        if isinstance(section, dict):
            tree[role] = _translated({"noise": default} | section, FINETUNE_NOISE)
    rounds, student = tree.get("per_round"), tree["student"]
    if isinstance(rounds, dict):
        # a last phase that every round has says its noise for all of them
        below = {} if isinstance(student, dict) and isinstance(student.get("finetune"), dict) else FINETUNE_NOISE
        tree["per_round"] = {number: _of_round(changed, below) for number, changed in rounds.items()}
    return tree


def check_suits(config: ChainConfig, source: Source) -> None:
    """Raise ChainError (78), naming file, line and key, at the first thing that means nothing for these patches."""
    for place, what, why, todo in _misfits(config):
        raise ChainError(f"{source.where(place)}: {'.'.join(place)}: {what}", why, todo, ExitCode.MISMATCH)


def _misfits(config: ChainConfig) -> Iterator[tuple[Place, str, str, str]]:
    mode, depth = config.data.mode, config.data.depth
    if config.splits.stain != "none" and mode != "rgb8":
        yield (("splits", "stain"), "is for colour patches", f"these are {mode} (data.mode)", "set splits.stain: none")
    before: Sequence[TrainConfig] = config.teacher.each()
    for step in plan(config):
        section = config.section_of(step)
        if isinstance(section, Rule) and "deviation" in section.needs and not config.predict.mc_passes:
            changed = getattr(config.per_round.get(step.round), "select", None) or {}
            yield (
                (*_place(step.round, "select", "rule" in changed), "rule"),
                f"{section.rule} needs the deviations of MC-dropout",
                "no passes with dropout are made (predict.mc_passes: 0)",
                "set predict.mc_passes: 10, or choose another rule",
            )
        if not isinstance(section, TrainConfig):
            continue
        changed = getattr(config.per_round.get(step.round), step.section, None) or {}
        for within, noise in _noises(section):
            if not (found := misplaced(noise, mode)):
                continue
            yield (
                (*_place(step.round, step.section, within[0] in changed), *within, found[0]),
                f"means nothing for {mode} patches",
                "it is an operation of light and colour"
                if mode == "hu16"
                else "it is an operation on Hounsfield units",
                f"leave out {', '.join(found)}, or set noise: weak or strong, which suit the patches",
            )
        for place, backbone in _backbones(section):
            if not backbone.startswith(VOLUME_PREFIX) or depth > 1:
                continue
            yield (
                (*_place(step.round, step.section, "backbone" in changed), *place),
                f"{backbone} is a 3-D network",
                "the patches have one slice (data.depth: 1)",
                "choose a timm backbone, or patches in HU of several slices",
            )
        if isinstance(section, StudentConfig):
            if section.warm_start and (refusal := _cold(before, section)):
                yield ((*_place(step.round, "student", "warm_start" in changed), "warm_start"), *refusal)
            before = [section]
        if section.backbone.startswith(VOLUME_PREFIX) and isinstance(section, StudentConfig) and section.drop_path:
            yield (
                (*_place(step.round, step.section, "drop_path" in changed), "drop_path"),
                f"{section.backbone} has no stochastic depth",
                f"drop_path is {section.drop_path:g} where nothing else is set",
                f"set {step.section}.drop_path: 0, or choose a timm backbone",
            )


def _cold(teachers: Sequence[TrainConfig], student: StudentConfig) -> tuple[str, str, str] | None:
    """What keeps a student from going on from its teacher's weights: what, why and what to do."""
    # with an ensemble there is no one network to go on from
    if [_network(one) for one in teachers] != [_network(student)]:
        teacher = _network(teachers[0]) if len(teachers) == 1 else f"an ensemble of {len(teachers)}"
        return (
            f"{_network(student)} cannot take over the weights of {teacher}",
            "only a network of the same kind can go on from another",
            "leave it out, or set the same backbone for teacher and student",
        )
    if (theirs := teachers[0].logit_adjustment) != student.logit_adjustment:
        return (
            f"the classifier of a teacher with logit_adjustment: {theirs:g} is none to begin with",
            f"this student's is {student.logit_adjustment:g}, so what classes owe to being frequent would count twice "
            "or not at all",
            "leave it out, or set the same logit_adjustment for teacher and student",
        )
    return None


def _network(section: TrainConfig) -> str:
    width = f", slim after {section.init.copied_stages} stages" if section.init.kind == "slim" else ""
    return f"{section.backbone}{width}"


def _noises(section: TrainConfig) -> list[tuple[Place, Noise]]:
    """Every noise a training draws, and where in its section it stands."""
    last = section.finetune if isinstance(section, StudentConfig) else None
    return [(("noise",), section.noise), *([(("finetune", "noise"), last.noise)] if last else [])]


def _backbones(section: TrainConfig) -> list[tuple[Place, str]]:
    """Of each network, and where in its section it stands."""
    if not isinstance(section, TeacherConfig) or not section.members:
        return [(("backbone",), section.backbone)]
    return [
        (("members", str(i), "backbone") if member.backbone else ("backbone",), one.backbone)
        for i, (member, one) in enumerate(zip(section.members, section.each(), strict=True))
    ]


def _place(round: int, section: str, in_round: bool) -> Place:
    return ("per_round", str(round), section) if in_round else (section,)


def _of_round(changed: Any, finetune: dict[str, Any]) -> Any:
    if not isinstance(changed, dict) or not isinstance(changed.get("student"), dict):
        return changed
    return {**changed, "student": _translated(changed["student"], finetune)}


def _translated(section: dict[str, Any], finetune: dict[str, Any]) -> dict[str, Any]:
    """finetune: what its last phase says where it is silent."""
    noise, last = section.get("noise"), section.get("finetune")
    section = {**section, "noise": preset_for(noise, "hu16")} if isinstance(noise, str) else section
    return {**section, "finetune": _translated(finetune | last, {})} if isinstance(last, dict) else section
