"""The verb `prepare` on the command line, with slides that OpenSlide opens, up to a chain that reads them."""

import json
from pathlib import Path

import numpy as np
import pytest

import run_chain
from data.errors import ExitCode
from data.prepared import read_index
from data.synthetic.tiled_tiff import write_tiled_tiff
from pipeline.config.reading import dump, load_config, load_either, load_preparation
from tests.fake_stages import CONFIG, everything

PREPARE = """
prepare:
  kind: slides
  path: slides
  mpp: 0.5
  size_px: 64
  tissue: {everything: true}
"""


def main(*words: object) -> int:
    return int(run_chain.main([str(word) for word in words]))


def slide(path: Path, seed: int = 0, mpp: float | None = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(60, 220, (16, 16, 3)).astype("u1")
    level = np.kron(coarse, np.ones((16, 16, 1), "u1"))
    write_tiled_tiff(path, [level, np.ascontiguousarray(level[::2, ::2])], mpp, tile_px=64)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two slides and a configuration that names them by a relative path."""
    for i in range(2):
        slide(tmp_path / "slides" / f"s{i}.tif", i)
    (tmp_path / "c.yaml").write_text(PREPARE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_slides_to_a_chain_that_reads_them(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("check", "c.yaml") == 0
    assert "2 slides to be cut into patches of 64 px at 0.5 um/px" in capsys.readouterr().out
    assert main("prepare", "c.yaml", "out", "--workers", 2) == 0
    assert capsys.readouterr().out.startswith("2 slides; 32 patches of 64 px at 0.5 um/px; ")
    assert main("prepare", "c.yaml", "out") == 0
    assert "2 skipped" in capsys.readouterr().out
    assert main("status", "out") == main("verify", "out") == 0
    assert sum(unit.patches for unit in read_index(desk / "out")) == 32
    (desk / "chain.yaml").write_text(
        CONFIG.replace("size_px: 24", "size_px: 64").replace("{kind: synthetic}", "{kind: prepared, path: out}")
    )
    reader = load_config(desk / "chain.yaml").data.sources[0]
    records = list(reader.records())
    assert len(records) == 32
    assert {"x_px", "y_px", "side_px", "mpp", "tissue"} <= set(records[0].numbers)


def test_set_changes_a_setting_and_what_it_touches_is_made_again(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("prepare", "c.yaml", "out", "--quiet") == 0
    assert main("prepare", "c.yaml", "out", "--set", "prepare.mpp=1.0") == 0
    shown = capsys.readouterr()
    assert "2 slides; 8 patches of 64 px at 1 um/px" in shown.out
    assert "prepare.mpp: 0.5 -> 1.0" in shown.err


def test_stating_what_one_slide_lacks_makes_no_other_again(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slide(desk / "slides" / "unknown.tif", 3, mpp=None)
    assert main("prepare", "c.yaml", "out", "--quiet") == ExitCode.BAD_DATA
    assert main("prepare", "c.yaml", "out", "--set", "prepare.missing_mpp=0.5") == 0
    assert "3 slides, 2 skipped; " in capsys.readouterr().out
    assert main("prepare", "c.yaml", "out", "--set", "prepare.missing_mpp=0.25") == 0
    assert "3 slides, 2 skipped; " in capsys.readouterr().out


def test_slides_that_cannot_be_used_are_named_and_the_others_stand(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide(desk / "slides" / "unknown.tif", 3, mpp=None)
    whole = (desk / "slides" / "s0.tif").read_bytes()
    (desk / "slides" / "broken.tif").write_bytes(whole[: len(whole) // 3])
    assert main("check", "c.yaml") == ExitCode.BAD_DATA
    shown = capsys.readouterr()
    assert "unknown.tif" in shown.out
    assert "broken.tif" in shown.out
    assert main("prepare", "c.yaml", "out") == ExitCode.BAD_DATA
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: ")]
    assert lines[-3].startswith("error: 2 of 4 slides could not be prepared")
    assert "unknown.tif: does not say how many microns" in lines[-2]
    assert sorted(path.name[:2] for path in (desk / "out" / "units").iterdir()) == ["s0", "s1"]
    assert main("prepare", "c.yaml", "out", "--set", "prepare.failure_limit=0.5") == 0
    assert (
        main("prepare", "c.yaml", "out", "--set", "prepare.failure_limit=0.5", "--set", "prepare.missing_mpp=0.5") == 0
    )


BROKEN = {
    "unknown key": (PREPARE + "  tisue: {}", "line 8: prepare.tisue: unknown key"),
    "unknown kind": (PREPARE.replace("slides\n", "slide\n", 1), "line 3: prepare.kind: unknown value 'slide'"),
    "no kind": (PREPARE.replace("  kind: slides\n", ""), "line 2: prepare: kind is missing"),
    "wrong type": (PREPARE.replace("64", "many"), "line 6: prepare.size_px: wrong type"),
    "beside it": (PREPARE + "prepair: 1", "line 8: prepair: unknown key"),
    "no section": (CONFIG, "prepare: missing"),
    "a broken chain beside it": (PREPARE + CONFIG + "student: {stepz: 3}", "student.stepz: unknown key"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_configuration_is_refused_by_line_and_key(
    name: str, desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, words = BROKEN[name]
    (desk / "c.yaml").write_text(text)
    before = everything(desk)
    assert main("prepare", "c.yaml", "out") == ExitCode.MISMATCH
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert words in lines[0]
    assert everything(desk) == before


def test_a_folder_without_slides_is_66_and_leaves_nothing(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (desk / "none").mkdir()
    assert main("prepare", "c.yaml", "out", "--set", "prepare.path=none") == ExitCode.MISSING
    assert not (desk / "out").exists()
    assert "Traceback" not in capsys.readouterr().err


def test_prepare_is_no_part_of_any_recipe_and_survives_the_resolved_configuration(desk: Path) -> None:
    (desk / "both.yaml").write_text(PREPARE + CONFIG)
    config = load_config(desk / "both.yaml")
    assert config.prepare is not None
    assert config.prepare == load_preparation(desk / "c.yaml")
    assert str(desk / "slides") in dump(config)
    (desk / "again.yaml").write_text(dump(config))
    assert load_either(desk / "again.yaml") == config
    from pipeline.directory.recipe import recipe
    from pipeline.plan import plan

    (desk / "plain.yaml").write_text(CONFIG)
    plain = load_config(desk / "plain.yaml")
    for step in plan(config):
        digests = dict.fromkeys(step.inputs, "sha256:0")
        assert recipe(step, config, digests) == recipe(step, plain, digests)


@pytest.mark.parametrize("words", [["prepare"], ["prepare", "a"], ["prepare", "a", "b", "--stall", "-1"]])
def test_wrong_usage_is_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(*words)
    assert caught.value.code == ExitCode.USAGE


def test_the_index_is_the_same_wherever_it_was_prepared(desk: Path) -> None:
    assert main("prepare", "c.yaml", "one", "--quiet", "--workers", 1) == 0
    assert main("prepare", "c.yaml", "two", "--quiet") == 0
    one, two = (json.loads((desk / name / "prepared.json").read_text()) for name in ("one", "two"))
    assert one == two
