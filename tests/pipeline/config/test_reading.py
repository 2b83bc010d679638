from pathlib import Path

import pytest

from data.errors import ChainError, ExitCode
from pipeline.config.chain import ChainConfig
from pipeline.config.reading import dump, load_config, schema
from pipeline.plan import plan
from tests.fake_stages import CONFIG, config_in

SHIPPED = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))


def refused(folder: Path, text: str, *overrides: str) -> ChainError:
    with pytest.raises(ChainError) as caught:
        config_in(folder, text, *overrides)
    assert len(caught.value.lines()) == 3
    return caught.value


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_dumped_configurations_load_as_the_equal_value(path: Path, tmp_path: Path) -> None:
    # a product's configuration names no folder: paths come by --set
    paths = ["data.sources.0.path=patches", "teacher.init.path=w.st", "student.init.path=w.st"]
    config = load_config(path, paths if path.name == "histology.yaml" else [])
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump(config))
    assert load_config(copy) == config


C = CONFIG
PLACES = {
    # text after CONFIG or in its place -> file line or --set, key, words of the refusal, what to do
    "unknown key": (C + "student: {stesp: 3}", "line 8: student.stesp: unknown key", "mean student.steps?"),
    "unknown section": (C + "studnet: {}", "line 8: studnet: unknown key", "did you mean student?"),
    "wrong type": (C + "student:\n  steps: many", "line 9: student.steps: wrong type", "a whole number"),
    "float for int": (C + "student: {steps: 1.5}", "student.steps: wrong type", "a whole number"),
    "text for bool": (C + "promote: {gate: yes}", "promote.gate: wrong type", "true or false"),
    "mapping for number": (C + "student: {lr: {a: 1}}", "student.lr: wrong type", "a number"),
    "out of range": (C.replace("rounds: 1", "rounds: -1"), "line 3: rounds: out of range", "at least 0"),
    "infinite": (C + "student: {lr: .inf}", "student.lr: wrong type", "a number"),
    "missing section": ("seed: 0\nselect: {rule: top_k}", "data: missing", "add data"),
    "unknown rule": (C.replace("threshold", "treshold"), "line 7: select.rule: unknown value", "threshold"),
    "no rule": (C.replace("rule: threshold, ", ""), "line 7: select: rule is missing", "add select.rule"),
    "key of another rule": (C.replace("tau: 0.8", "k: 8"), "line 7: select.k: unknown key", "remove it"),
    "unknown reader": (C.replace("synthetic", "sintetic"), "line 6: data.sources.0.kind: unknown", "synthetic"),
    "union": (C + "splits: {labels: {fraction: 3}}", "line 8: splits.labels.fraction: out of range", "at most 1"),
    "union key": (C + "splits: {labels: {fractoin: 0.1}}", "splits.labels.fractoin: unknown", "labels.fraction?"),
    "both of a union": (C + "splits: {labels: {fraction: 0.1, count: 2}}", "does not go with", "keep one of them"),
    "per round": (C + "per_round: {0: {select: {tua: 0.5}}}", "per_round.0.select.tua: unknown key", "select.tau?"),
    "per round range": (C + "per_round: {0: {student: {steps: 0}}}", "per_round.0.student.steps: out of range", "1"),
    "no such round": (C + "per_round: {1: {}}", "per_round.1: there is no such round", "--set per_round={}"),
    "list at top": ("- 1", "line 1: not a configuration", "configs/demo.yaml"),
    "text at top": ("hello", "line 1: not a configuration", "configs/demo.yaml"),
    "empty": ("", "is empty", "configs/demo.yaml"),
    "only a comment": ("# nothing", "is empty", "configs/demo.yaml"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_a_broken_configuration_is_refused_by_line_and_key(name: str, tmp_path: Path) -> None:
    text, what, todo = PLACES[name]
    error = refused(tmp_path, text)
    assert error.code == ExitCode.MISMATCH
    assert what in error.what
    assert str(tmp_path / "config.yaml") in error.what
    assert todo in error.todo


def test_the_first_error_is_told_and_the_others_counted(tmp_path: Path) -> None:
    error = refused(tmp_path, CONFIG + "student: {steps: 0, lr: fast}\nteacher: {lr: 0}")
    assert error.what.endswith("student.steps: out of range (and 2 more)")


def test_numbers_in_scientific_notation_are_numbers(tmp_path: Path) -> None:
    assert config_in(tmp_path, CONFIG + "student: {lr: 1e-4}").student.lr == 1e-4


def test_overrides_are_named_as_given(tmp_path: Path) -> None:
    assert "--set student.epocs=3: student.epocs: unknown key" in refused(tmp_path, CONFIG, "student.epocs=3").what
    assert "--set studnt.lr=1: studnt: unknown key" in refused(tmp_path, CONFIG, "studnt.lr=1").what
    assert refused(tmp_path, CONFIG, "student").code == ExitCode.USAGE
    assert "no item 1" in refused(tmp_path, CONFIG, "data.sources.1.kind=folder").what
    assert "seed has no keys" in refused(tmp_path, CONFIG, "seed.x=1").what
    assert config_in(tmp_path, CONFIG, "student.steps=7", "splits.labels={count: 5}").student.steps == 7


def test_paths_begin_at_the_file_or_at_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = CONFIG.replace("{kind: synthetic}", "{kind: folder, path: ../patches}, {kind: tree, name: b, path: x}")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = config_in(tmp_path / "configs", text, "data.sources.1.path=pool", "student.init={kind: full, path: w.st}")
    paths = [source.model_dump(mode="json")["path"] for source in config.data.sources]
    assert paths == [str(tmp_path / "patches"), str(elsewhere / "pool")]
    assert config.student.init.path == elsewhere / "w.st"


def test_the_home_of_a_user_who_is_not_known_is_a_name_like_others(tmp_path: Path) -> None:
    text = CONFIG.replace("{kind: synthetic}", "{kind: folder, path: ~/x}, {kind: folder, name: b, path: ~nobody-/x}")
    paths = [source.model_dump(mode="json")["path"] for source in config_in(tmp_path, text).data.sources]
    assert paths == [str(Path.home() / "x"), str(tmp_path / "~nobody-" / "x")]


def test_a_round_may_differ(tmp_path: Path) -> None:
    per_round = "per_round: {1: {select: {tau: 0.5}, student: {noise: {blur: 0.9}, init: {kind: full, path: w.st}}}}"
    config = config_in(tmp_path, CONFIG.replace("rounds: 1", "rounds: 2") + per_round)
    steps = {step.address: config.section_of(step).model_dump() for step in plan(config)}
    assert [steps[f"rounds/0{r}/select"]["tau"] for r in (0, 1)] == [0.8, 0.5]
    first, second = (steps[f"rounds/0{r}/student"] for r in (0, 1))
    assert second["noise"] == first["noise"] | {"blur": 0.9}
    assert second["init"]["path"] == tmp_path / "w.st"
    rest = {"noise", "init"}
    assert {key: first[key] for key in first.keys() - rest} == {key: second[key] for key in second.keys() - rest}


def test_a_round_may_use_another_rule(tmp_path: Path) -> None:
    config = config_in(tmp_path, CONFIG + "per_round: {0: {select: {rule: top_k, k: 3}}}")
    step = next(step for step in plan(config) if step.kind == "select")
    assert config.section_of(step).model_dump()["k"] == 3


def test_the_schema_knows_every_section() -> None:
    assert set(schema()["properties"]) == set(ChainConfig.model_fields)


@pytest.mark.parametrize("way", ["select.propagate={}", "per_round={0: {select: {propagate: {}}}}"])
def test_propagation_without_embeddings_is_refused_before_anything_runs(tmp_path: Path, way: str) -> None:
    error = refused(tmp_path, CONFIG, way)
    assert error.lines()[0].endswith("config.yaml: not allowed")
    assert "predict.embeddings: true" in error.lines()[1]
    assert config_in(tmp_path, CONFIG, way, "predict.embeddings=true")
    assert config_in(tmp_path, CONFIG, way, "predict.encoder={backbone: resnet18}")
