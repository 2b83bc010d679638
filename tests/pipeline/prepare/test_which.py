"""The way back from a keyed hash to a file, for its owner alone."""

from pathlib import Path

import pytest

from data.errors import ExitCode
from data.patches.deid import own_id_key, pseudonym
from pipeline.prepare.which import main


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "in" / "JANE").mkdir(parents=True)
    (tmp_path / "in" / "JANE" / "scan.nii.gz").write_bytes(b"no scan at all")
    text = "prepare: {kind: volumes, path: in, spacing_mm: 1, size_px: 8, where: {kind: grid, stride_mm: 8}}\n"
    (tmp_path / "c.yaml").write_text(text)
    (tmp_path / "out").mkdir()
    return tmp_path / "c.yaml"


def test_a_refused_volume_is_found_by_its_hash(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = config.parent / "out"
    name = pseudonym(own_id_key(out / "id_key"), "JANE/scan.nii.gz")
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert main([str(config), str(out), name]) == 0
    assert capsys.readouterr().out == f"{name}  {config.parent / 'in' / 'JANE' / 'scan.nii.gz'}\n"
    assert {path: path.read_bytes() for path in out.iterdir()} == before, "it writes nothing"


def test_a_name_that_no_terminal_may_have_is_spelled_out(config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out, scans = config.parent / "out", config.parent / "in"
    (scans / "JANE").rename(scans / "J\x1b[2J\udcff")
    assert main([str(config), str(out), pseudonym(own_id_key(out / "id_key"), "J\x1b[2J\udcff/scan.nii.gz")]) == 0
    assert "J\\x1b[2J\\xdcff" in capfd.readouterr().out


def test_an_unknown_name_and_a_directory_without_a_key_are_refused(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = config.parent / "out"
    assert main([str(config), str(out), "0" * 16]) == ExitCode.MISSING
    assert not (out / "id_key").exists(), "a key made now would find nothing"
    own_id_key(out / "id_key")
    assert main([str(config), str(out), "0" * 16]) == ExitCode.MISSING
    said = capsys.readouterr().err.splitlines()
    assert any("is no unit of this input" in line for line in said)
    assert [line.split(":")[0].strip() for line in said[-3:]] == ["error", "why", "do"]
