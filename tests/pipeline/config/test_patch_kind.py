"""Noise, stain and networks suit the patches, or are refused by file, line and key."""

from pathlib import Path

import pytest

from data.augment.noise import PRESETS, Noise
from data.errors import ChainError, ExitCode
from pipeline.config.reading import dump, load_config
from pipeline.plan import plan

CT = """
rounds: 2
data: {size_px: 24, mode: hu16, depth: 3, windows: [lung, [40, 400]], sources: [{kind: store, path: x.h5}]}
select: {rule: top_k, k: 10}
"""
RGB = """
rounds: 2
data: {size_px: 24, sources: [{kind: synthetic}]}
select: {rule: top_k, k: 10}
"""


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    path = tmp_path / "ct.yaml"
    path.write_text(CT)
    return path


@pytest.fixture
def rgb(tmp_path: Path) -> Path:
    path = tmp_path / "rgb.yaml"
    path.write_text(RGB)
    return path


def test_weak_and_strong_are_those_of_the_patches_even_where_left_out(ct: Path, rgb: Path) -> None:
    weak, strong = Noise(**PRESETS["ct_weak"]), Noise(**PRESETS["ct_strong"])
    config = load_config(ct)
    assert (config.teacher.noise, config.student.noise) == (weak, strong)
    config = load_config(
        ct, ["teacher.noise=strong", "student.noise=weak", "per_round={1: {student: {noise: strong}}}"]
    )
    assert (config.teacher.noise, config.student.noise) == (strong, weak)
    from pipeline.plan import plan

    (last,) = [step for step in plan(config) if step.address == "rounds/01/student"]
    assert config.section_of(last).noise == strong  # type: ignore[attr-defined]
    plain = load_config(rgb)
    assert (plain.teacher.noise, plain.student.noise) == (Noise(**PRESETS["weak"]), Noise(**PRESETS["strong"]))
    assert load_config(ct, ["teacher.noise=none"]).teacher.noise.is_none


def test_the_resolved_configuration_gives_the_same_again(ct: Path, tmp_path: Path) -> None:
    config = load_config(ct, ["per_round={0: {student: {noise: weak}}}"])
    (tmp_path / "resolved.yaml").write_text(dump(config))
    assert load_config(tmp_path / "resolved.yaml") == config


@pytest.mark.parametrize(
    ("change", "key", "named"),
    [
        ("teacher.noise={stain: 0.1, flips: true}", "teacher.noise.stain", "light and colour"),
        ("student.noise={jpeg: 0.1}", "student.noise.jpeg", "light and colour"),
        ("per_round={1: {student: {noise: {brightness: 0.1}}}}", "per_round.1.student.noise.brightness", "light"),
        ("splits.stain=macenko", "splits.stain", "hu16"),
    ],
)
def test_light_and_colour_on_ct_are_refused_by_name(ct: Path, change: str, key: str, named: str) -> None:
    with pytest.raises(ChainError) as refusal:
        load_config(ct, [change])
    assert refusal.value.code == ExitCode.MISMATCH
    assert refusal.value.what.startswith(f"--set {change}: {key}: ")
    assert named in refusal.value.why


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("teacher.noise=ct_weak", "teacher.noise.intensity_shift_hu"),
        ("student.noise={slice_flip: true}", "student.noise.slice_flip"),
        ("student.backbone=torchvision/r3d_18", "student.backbone"),
    ],
)
def test_what_is_for_ct_is_refused_on_colour_patches(rgb: Path, change: str, key: str) -> None:
    with pytest.raises(ChainError) as refusal:
        load_config(rgb, [change])
    assert f"{key}: " in refusal.value.what


def test_a_3d_network_needs_slices(ct: Path) -> None:
    volume = "teacher.backbone=torchvision/r3d_18"
    assert load_config(ct, [volume]).teacher.backbone == "torchvision/r3d_18"
    with pytest.raises(ChainError, match=r"teacher\.backbone: torchvision/r3d_18 is a 3-D network"):
        load_config(ct, [volume, "data.depth=1"])
    with pytest.raises(ChainError, match=r"student\.drop_path: torchvision/r3d_18 has no stochastic depth"):
        load_config(ct, ["student.backbone=torchvision/r3d_18"])
    load_config(ct, ["student={backbone: torchvision/r3d_18, drop_path: 0}"])


def test_hu_without_windows_are_refused_by_key(ct: Path) -> None:
    with pytest.raises(ChainError, match="data") as refusal:
        load_config(ct, ["data.windows=null"])
    assert "windows: [lung, soft_tissue]" in refusal.value.why
    with pytest.raises(ChainError, match=r"data\.windows\.0") as refusal:
        load_config(ct, ["data.windows=[lugn]"])
    assert "mediastinum" in refusal.value.why


def test_the_last_phase_and_every_member_suit_the_patches_too(ct: Path, rgb: Path) -> None:
    config = load_config(ct, ["student.finetune={steps: 2}"])
    assert config.student.finetune is not None
    assert config.student.finetune.noise == Noise(**PRESETS["ct_weak"])
    with pytest.raises(ChainError, match=r"student\.finetune\.noise\.stain: means nothing for hu16"):
        load_config(ct, ["student.finetune={noise: {stain: 0.1}}"])
    for every, noise in ((), "ct_weak"), (("student.finetune={steps: 9, noise: strong}",), "ct_strong"):
        config = load_config(ct, [*every, "per_round={0: {student: {finetune: {steps: 2}}}}"])
        (last,) = (config.section_of(step).finetune for step in plan(config) if step.address == "rounds/00/student")
        assert last.noise == Noise(**PRESETS[noise])
        assert last.steps == 2
    with pytest.raises(ChainError, match=r"teacher\.members\.1\.backbone: torchvision/r3d_18 is a 3-D network"):
        load_config(rgb, ["teacher.members=[{}, {backbone: torchvision/r3d_18}]"])


SLIM = "teacher.init={kind: slim, path: w.safetensors}"


@pytest.mark.parametrize("teacher", ["teacher.backbone=resnet18", "teacher.seeds=2", SLIM])
def test_a_student_can_go_on_only_from_a_teacher_of_its_kind(rgb: Path, teacher: str) -> None:
    load_config(rgb, ["student.warm_start=true"])
    with pytest.raises(ChainError, match=r"student\.warm_start: resnet10t cannot take over") as caught:
        load_config(rgb, [teacher, "student.warm_start=true"])
    assert caught.value.code == ExitCode.MISMATCH


def test_a_student_can_go_on_only_where_classes_owe_as_much_to_being_frequent(rgb: Path) -> None:
    both = ["student.warm_start=true", "student.logit_adjustment=1"]
    load_config(rgb, [*both, "teacher.logit_adjustment=1"])
    with pytest.raises(ChainError, match=r"student\.warm_start: the classifier of a teacher with .*: 0 is") as caught:
        load_config(rgb, both)
    assert caught.value.code == ExitCode.MISMATCH
    load_config(rgb, ["student.warm_start=later", "student.logit_adjustment=1", "rounds=2"])  # then it is a student


def test_a_student_of_a_later_round_can_go_on_only_from_a_student_of_its_kind(rgb: Path) -> None:
    # the first student begins afresh, whatever its teacher is
    load_config(rgb, ["teacher.backbone=resnet18", "student.warm_start=later", "rounds=2"])
    with pytest.raises(ChainError, match=r"student\.warm_start: resnet18 cannot take over .* resnet10t") as caught:
        load_config(rgb, ["student.warm_start=later", "rounds=2", "per_round={1: {student: {backbone: resnet18}}}"])
    assert caught.value.code == ExitCode.MISMATCH


def test_files_of_members_are_where_the_configuration_says(rgb: Path) -> None:
    config = load_config(rgb, ["teacher.members=[{}, {init: {kind: full, path: w.safetensors}}]"])
    member = config.teacher.members[1]
    assert member.init is not None
    assert member.init.path == Path.cwd() / "w.safetensors"
