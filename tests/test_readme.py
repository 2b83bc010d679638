"""Commands, code and tables of README and of the pages it leads to, and every shipped configuration, are executed."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

import run_chain
from data.errors import ExitCode
from data.pixels.network_input import NetworkInput
from data.pixels.windows import windows_of
from data.readers import READERS
from data.readers.synthetic import Synthetic
from pipeline.config.reading import load_config
from pipeline.plan import plan
from stages.networks.create import first_network, network_kwargs, save_weights
from stages.networks.volume import NAMES as VOLUME_NETWORKS
from stages.train.config import TeacherConfig
from tests.tiny import SHRINK

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/prepare.md", "docs/methods.md", "docs/extending.md")
README = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.S)
LINES = [line for _, block in BLOCKS for line in block.splitlines() if line.startswith("python run_chain.py")]
COMMANDS = [shlex.split(line, comments=True) for line in dict.fromkeys(LINES)]  # a page may say what README says
CONFIGS = sorted(str(path.relative_to(ROOT / "configs")) for path in (ROOT / "configs").rglob("*.yaml"))
FEW = ["--patients", "6"]
BEGIN = ("check", "plan", "run")
PYTHON = [block for language, block in BLOCKS if language == "python"]


def shrunk(config: str) -> list[str]:
    """Settings that make a shipped configuration small enough for a test; what it is made of stays."""
    sets = list(SHRINK)
    if Path(config).stem in ("slides", "ct"):
        sets += ["splits.labels={count: 3}"]
    elif "demo" in config:
        sets += ["data.sources.0.patients=8", "data.sources.0.patches_per_patient=30", "splits.labels={count: 3}"]
    else:
        sets += [f"{role}.init.path=lite0.safetensors" for role in ("teacher", "student")]
        sets += ["data.sources.0.path=patches"]
        if "presets" in config:
            sets += ["rounds=1", *OF_PRESET.get(Path(config).stem, [])]
    return [word for one in sets for word in ("--set", one)]


# each keeps what it is the preset of: two phases, a larger last one, a rule that keeps something
OF_PRESET = {
    "default": ["predict.encoder.init.path=lite0.safetensors"],
    "shaw2020": ["student.finetune.steps=2"],
    "noisy_student": [
        "select.min_confidence=0.0",
        "per_round={0: {student: {finetune: {steps: 2, size_px: 128, frozen_stages: 3}}}}",
    ],
    "ups": ["select.min_confidence=0.0", "select.max_deviation=1.0", "predict.mc_passes=2"],
}


def drawn(command: str) -> None:
    """What a command on slides or CT begins with, inputs and their patches, where they are not there yet."""
    for kind in ("slides", "ct"):
        if f"/{kind}" in command:
            assert run_chain.main(["example", kind, f"runs/{kind}", *FEW]) == 0
            assert run_chain.main(["prepare", f"configs/{kind}.yaml", f"runs/{kind}-patches"]) == 0


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's working directory: the configurations, patches in a folder per class, weights in a file."""
    desk = tmp_path_factory.mktemp("desk")
    (desk / "configs").symlink_to(ROOT / "configs")
    source = Synthetic(patients=4, patches_per_patient=40, size_px=96)
    for record in source.records():
        path = desk / "patches" / record.label / f"{record.key.replace('/', '-')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.ascontiguousarray(source.content(record)[..., ::-1]))
    save_file(timm.create_model("tf_efficientnet_lite0").state_dict(), desk / "lite0.safetensors")
    return desk


@pytest.fixture
def at_desk(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(desk)
    return desk


def test_there_is_something_to_execute() -> None:
    verbs = {command[2] for command in COMMANDS}
    assert verbs == {"check", "plan", "run", "resume", "status", "inspect", "rerun", "verify", "schema"} | {
        "example",
        "prepare",
        "report",
        "review",
    }
    assert len(PYTHON) >= 3


@pytest.mark.parametrize("config", CONFIGS)
def test_every_shipped_configuration_runs(config: str, at_desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn(f"configs/{config}")
    run = f"runs/{Path(config).stem}-whole"
    assert run_chain.main(["run", f"configs/{config}", run, *shrunk(config)]) == 0
    shown = capsys.readouterr().out
    assert "final" in shown
    for made in ("final", "rounds/00/student"):
        assert (at_desk / run / made / "model.safetensors").is_file()


@pytest.mark.parametrize("command", COMMANDS, ids=[" ".join(words[2:]) for words in COMMANDS])
def test_every_command_of_the_readme(command: list[str], at_desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in command[2:] if word != ">"]
    if ">" in command:
        words = words[:-1]
    drawn(" ".join(words))
    if "runs/crc" in words and words[0] not in BEGIN and not Path("runs/crc").is_dir():  # where this test runs alone
        assert run_chain.main(["run", "configs/histology.yaml", "runs/crc", *shrunk("histology.yaml")]) == 0
    if words[0] == "run":  # begun by nothing that came before: tests may come in any order
        shutil.rmtree(words[2], ignore_errors=True)
    if words[0] in BEGIN:
        words += shrunk(words[1])
    if words[0] == "example":
        words += FEW
    assert run_chain.main(words) == 0, capsys.readouterr().err
    assert capsys.readouterr().out or words[0] in ("run", "resume", "rerun")


def described(section: Any) -> set[str]:
    """Keys that say what they mean, as every shipped rule's must; a section and its methods say it too."""
    assert section.__doc__
    return {key for key, field in section.model_fields.items() if field.description}


@pytest.mark.parametrize("block", PYTHON, ids=[block.strip().splitlines()[0][:40] for block in PYTHON])
def test_python_of_the_readme(block: str, at_desk: Path, tmp_path: Path) -> None:
    if not (at_desk / "runs/demo/final").is_dir():  # when this test is run alone
        assert run_chain.main(["run", "configs/demo.yaml", "runs/demo", *shrunk("demo")]) == 0
    found: dict[str, object] = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), found)  # our own text
    if "Surest" in found:
        from stages.select.evidence import Evidence

        rule = found["Surest"](k=2)  # type: ignore[operator]
        probs = np.array([[0.6, 0.4], [0.1, 0.9], [0.8, 0.2]], np.float32)
        kept = rule.select(Evidence(np.array([4, 5, 6], np.uint64), probs))
        assert kept.ids.tolist() == [5, 6]
        assert kept.label.tolist() == [1, 0]
        assert described(found["Surest"]) >= {"k"}
    if "Named" in found:
        for name in ("patches/p1/tumour_1.png", "patches/p2/stroma_7.png", "patches/p2/thumb.xyz"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"content")
        source = found["Named"](path=tmp_path / "patches")  # type: ignore[operator]
        told = [(one.label, one.patient) for one in source.records()]
        assert told == [("tumour", "p1"), ("stroma", "p2"), ("", "")]
        assert source.content(next(source.records())) == b"content"
        assert described(found["Named"]) >= {"path"}


@pytest.mark.parametrize("backbone", VOLUME_NETWORKS)
@pytest.mark.parametrize("names", [["lung"], ["lung", "bone"], ["lung", "bone", "liver"]], ids=len)
def test_a_3d_network_is_torchvisions_by_the_lines_of_the_page(backbone: str, names: list[str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    kind, section = NetworkInput("hu16", 16, 4, windows_of(names)), TeacherConfig(backbone=backbone)
    network = first_network(section, 3, kind, "teacher").eval()
    save_weights(network, tmp_path / "model.safetensors")
    card = {"name": backbone, "timm_kwargs": network_kwargs(section, 3, kind)}
    (tmp_path / "model.json").write_text(json.dumps(card))
    found: dict[str, Any] = {"__name__": "readme"}
    exec(next(block for block in PYTHON if "volume_network" in block), found)  # our own text
    images = torch.rand(2, 4 * len(names), 16, 16)
    with torch.inference_mode():
        assert torch.equal(found["volume_network"](tmp_path)(images), network(images))


def test_the_yaml_of_the_readme_is_a_configuration(tmp_path: Path) -> None:
    texts = [block for language, block in BLOCKS if language == "yaml" and "data:" in block]
    assert texts
    for text in texts:
        path = tmp_path / "c.yaml"
        path.write_text(text + "\nselect: {rule: top_k}\n")
        assert len(plan(load_config(path))) == 15


def test_tables_name_every_reader_and_every_exit_code_that_can_come() -> None:
    kinds = set(re.findall(r"^\| `(\w+)` \|", README, flags=re.M))
    assert kinds >= READERS.keys()
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", README, flags=re.M)}
    assert codes == {int(code) for code in ExitCode}


def test_every_rule_is_in_its_table() -> None:
    from stages.select.rules import members

    named = re.findall(r"^\| `(\w+)` \|", README.split("| `select.rule` |")[1].split("\n\n")[0], flags=re.M)
    assert sorted(named) == sorted(members())


def test_the_makefile_runs_what_the_readme_says() -> None:
    make = (ROOT / "Makefile").read_text()
    for words in ("example slides runs/slides", "prepare configs/slides.yaml runs/slides-patches"):
        assert f"run_chain.py {words}\n" in make
        assert words in " ".join(README.split())
    assert "run_chain.py run configs/slides.yaml runs/demo\n" in make
    assert "make demo" in README
    assert "make test" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text()
