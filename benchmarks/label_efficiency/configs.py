"""The configuration of one chain: a preset as it is shipped, on this set, at this size."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from benchmarks.label_efficiency.listing import SOURCE, Listing
from benchmarks.label_efficiency.sizes import Size
from data.errors import ChainError, ExitCode
from stages.train.config import TrainConfig

ROOT = Path(__file__).resolve().parents[2]

POOL_A_CLASS = 1800  # what the numbers of patches in the presets' selection rules are meant for
COUNTS = ("k", "k_step", "n_per_class")
# how a network is trained, as teacher and student both say it: all but what it is and how long it takes
RECIPE = tuple(
    sorted(set(TrainConfig.model_fields) - {"backbone", "init", "steps", "evaluate_every", "batch_size", "snapshots"})
)


def preset_path(name: str) -> Path:
    """A shipped preset by its name, or a file. Raises ChainError (66)."""
    shipped = ROOT / "configs" / "presets" / f"{name}.yaml"
    for path in (shipped, Path(name)):
        if path.is_file():
            return path
    known = sorted(path.stem for path in shipped.parent.glob("*.yaml"))
    raise ChainError(
        f"no preset is called {name}",
        f"configs/presets holds {', '.join(known) or 'none'}",
        "name one of these, or the path of a configuration",
        ExitCode.MISSING,
    )


def read_preset(name: str) -> dict[str, Any]:
    """The preset's own words; what they mean is checked when the chain is run."""
    loaded = yaml.safe_load(preset_path(name).read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def data_of(listing: Listing, px: int, manifest: str) -> dict[str, Any]:
    """Section `data` of a chain on a set. px: side in training; manifest: its path, relative to the configuration."""
    source = {"kind": "manifest", "name": SOURCE, "path": manifest, "root": str(listing.root)}
    return {"size_px": px, "mode": listing.mode, "resize": px != listing.native_px, "sources": [source]}


def chain(
    preset: Mapping[str, Any], data: dict[str, Any], seed: int, size: Size, weights: Path, pool_a_class: float
) -> dict[str, Any]:
    """The preset with its data, seed, network, lengths and batches replaced; rules and recipes stay its own.

    Numbers of patches in a rule grow and shrink with the pool. pool_a_class: patches of the pool, a class.
    """
    made = deepcopy(dict(preset))
    enlarged = data["size_px"] / float(made.get("data", {}).get("size_px", data["size_px"]))
    own_steps = float(made.get("student", {}).get("steps", 1000))
    made |= {"seed": seed, "rounds": size.rounds, "data": data}
    made["splits"] = {"seed": seed, "validation": 0.0, "test": 0.0, "labels": "all", "duplicates": "drop"} | _stain(
        made
    )
    for role in ("teacher", "student"):
        made[role] = _network(dict(made.get(role, {})), size, weights)
    _teacher(made["teacher"], size)
    _student(made["student"], size, enlarged)
    made["predict"] = dict(made.get("predict", {})) | {"views": size.views}
    if encoder := made["predict"].get("encoder"):
        made["predict"]["encoder"] = _network(dict(encoder), size, weights)
    made["select"] = _scaled(made["select"], pool_a_class / POOL_A_CLASS)
    if "per_round" in made:
        made["per_round"] = _per_round(made["per_round"], size, own_steps, enlarged, pool_a_class / POOL_A_CLASS)
    made.pop("prepare", None)
    return made


def all_labels(made: Mapping[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """The ceiling: the student's network, recipe, steps and batch, on all labels, without any round.

    Where students go on from their teachers' weights, as many steps as the weights of the last one have taken.
    """
    ceiling = deepcopy(dict(made))
    student = ceiling["student"]
    ceiling["teacher"] = {key: student[key] for key in ("backbone", "init", *RECIPE) if key in student}
    # what a student leaves unsaid is its own default, not the teacher's
    ceiling["teacher"].setdefault("noise", "strong")
    finetune = student.get("finetune") or {}
    steps = int(student["steps"]) + int(finetune.get("steps", 0))
    if student.get("warm_start"):
        steps *= max(1, int(ceiling["rounds"]))
    ceiling["teacher"] |= {"steps": steps, "evaluate_every": _every(steps), "batch_size": _batch(student)}
    ceiling.pop("per_round", None)
    return ceiling | {"rounds": 0, "data": data}


def overridden(made: dict[str, Any], sets: Mapping[str, Any]) -> dict[str, Any]:
    """Keys such as `student.lr` laid over a configuration."""
    result = deepcopy(made)
    for key, value in sets.items():
        *above, last = key.split(".")
        at = result
        for name in above:
            at = at.setdefault(name, {})
        at[last] = value
    return result


def _stain(made: Mapping[str, Any]) -> dict[str, Any]:
    stain = made.get("splits", {}).get("stain")
    return {} if stain is None else {"stain": stain}


def _network(section: dict[str, Any], size: Size, weights: Path) -> dict[str, Any]:
    section["backbone"] = size.backbone
    init = section.get("init", {"kind": "random"})
    init = {"kind": init} if isinstance(init, str) else dict(init)
    if not size.pretrained:
        section["init"] = {"kind": "random"}
    elif init.get("kind", "random") != "random":
        section["init"] = init | {"path": str(weights)}
    # members of an ensemble differ by their seeds alone: one network for every row of the table
    if members := section.pop("members", None):
        section["seeds"] = len(members)
    return section


def _teacher(section: dict[str, Any], size: Size) -> None:
    section |= {
        "steps": size.teacher_steps,
        "evaluate_every": _every(size.teacher_steps),
        "batch_size": size.teacher_batch,
    }


def _student(section: dict[str, Any], size: Size, enlarged: float) -> None:
    """Steps over all phases and patches a step become the size's; how they are shared out stays the preset's."""
    finetune = section.get("finetune")
    own, last = float(section.get("steps", 1000)), float((finetune or {}).get("steps", 200)) if finetune else 0.0
    first = max(1, round(size.student_steps * own / (own + last)))
    if finetune:
        section["finetune"] = _resized(finetune, enlarged) | {"steps": max(1, size.student_steps - first)}
    share = 1 + float(section.get("unlabeled_ratio", 3)) if _joint(section) else 1
    section |= {
        "steps": first,
        "evaluate_every": _every(first),
        "batch_size": max(2, round(size.student_batch / share)),
    }


def _joint(section: Mapping[str, Any]) -> bool:
    return bool(section.get("schedule", "joint") == "joint")


def _batch(student: Mapping[str, Any]) -> int:
    share = 1 + float(student.get("unlabeled_ratio", 3)) if _joint(student) else 1.0
    return max(2, round(float(student["batch_size"]) * share))


def _every(steps: int) -> int:
    return max(1, steps // 3)


def _scaled(section: Mapping[str, Any], by: float) -> dict[str, Any]:
    return {key: max(1, round(v * by)) if key in COUNTS and v else v for key, v in section.items()}


def _per_round(changed: Mapping[Any, Any], size: Size, own_steps: float, enlarged: float, by: float) -> dict[Any, Any]:
    """What rounds do otherwise, of the rounds there are; lengths as the size has them."""
    kept: dict[Any, Any] = {}
    for number, sections in changed.items():
        if int(number) >= size.rounds:
            continue
        select, student = _scaled(sections.get("select") or {}, by), dict(sections.get("student") or {})
        for key in ("steps", "batch_size", "backbone"):
            student.pop(key, None)
        if finetune := student.get("finetune"):
            steps = max(1, round(finetune.get("steps", 200) * size.student_steps / own_steps))
            student["finetune"] = _resized(finetune, enlarged) | {"steps": steps}
        if found := {name: keys for name, keys in (("select", select), ("student", student)) if keys}:
            kept[number] = found
    return kept


def _resized(finetune: Mapping[str, Any], enlarged: float) -> dict[str, Any]:
    px = finetune.get("size_px")
    return dict(finetune) | ({"size_px": max(32, round(px * enlarged / 32) * 32)} if px else {})
