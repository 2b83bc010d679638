"""The whole command on drawn patches: every row is there, and a stop anywhere changes nothing of it."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import timm
from safetensors.torch import save_file

from benchmarks.label_efficiency import chains, study
from benchmarks.label_efficiency.__main__ import main
from data.errors import ExitCode
from data.readers.synthetic import Synthetic


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patches of 12 patients without their names, a manifest, and random weights."""
    desk = tmp_path_factory.mktemp("evidence")
    source = Synthetic(patients=12, patches_per_patient=25, size_px=32)
    with (desk / "drawn.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        for record in source.records():
            name = record.key.replace("/", "-") + ".png"
            cv2.imwrite(str(desk / name), np.ascontiguousarray(source.content(record)[..., ::-1]))
            rows.writerow([name, record.label])
    save_file(timm.create_model("tf_efficientnet_lite0").state_dict(), desk / "lite0.safetensors")
    return desk


def words(desk: Path, into: str) -> list[str]:
    asked = [str(desk / "drawn.csv"), "--weights", str(desk / "lite0.safetensors"), "--into", str(desk / into)]
    few = ["--fractions", "0.1", "--seeds", "0", "--validation", "0.3", "--size", "toy"]
    return [*asked, *few, "--device", "cpu", "--threads", "1", "--set", "promote.gate=false"]


def timeless(path: Path) -> Any:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k not in ("seconds", "command")}
        return [plain(v) for v in value] if isinstance(value, list) else value

    return plain(json.loads((path / "results.json").read_bytes()))


def test_stopped_at_a_probe_and_in_a_chain_it_ends_with_the_same_table(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(desk, "whole")) == ExitCode.DONE
    assert "groups of colour" in capsys.readouterr().out
    whole = timeless(desk / "whole")
    methods = {row["method"] for row in whole["table"]}
    assert methods == {"default", "probe", "self_training", "all_probe", "all_colours", "all_network"}
    assert [row["round"] for row in whole["table"] if row["method"] == "default"] == [0, 1, 2]
    assert (desk / "whole" / "table.md").read_text().count("default: labels only") == 2

    assert (desk / "whole" / "curve.png").read_bytes().startswith(b"\x89PNG")

    def stopped(*_: object, **__: object) -> Any:
        raise KeyboardInterrupt

    real_read, real_probe = chains.read_back, study.probe_cell
    monkeypatch.setattr(chains, "read_back", stopped)  # the chain is whole, its cell is not
    assert main(words(desk, "stopped")) == ExitCode.INTERRUPTED
    monkeypatch.setattr(chains, "read_back", real_read)
    monkeypatch.setattr(study, "probe_cell", stopped)
    assert main(words(desk, "stopped")) == ExitCode.INTERRUPTED
    monkeypatch.setattr(study, "probe_cell", real_probe)
    assert main(words(desk, "stopped")) == ExitCode.DONE
    assert timeless(desk / "stopped") == whole

    monkeypatch.setattr(chains.run_chain, "main", stopped)  # what is done is not done again
    assert main(words(desk, "stopped")) == ExitCode.DONE
    assert timeless(desk / "stopped") == whole

    # what goes into the repository is enough for the same table, elsewhere, without a chain or its patches
    (desk / "docs").mkdir()
    results = desk / "docs" / "results.md"
    results.write_text("# Results\n")
    assert main([*words(desk, "stopped"), "--only-done", "--write-docs", str(results)]) == ExitCode.DONE
    shutil.copytree(desk / "docs" / "evidence" / "drawn-promote.gate-false-toy", desk / "elsewhere")
    assert not list((desk / "elsewhere").rglob("run"))
    assert "<!-- label_efficiency drawn-promote.gate-false: begin -->" in results.read_text(), "a table of its own"
    assert main([*words(desk, "elsewhere"), "--only-done"]) == ExitCode.DONE
    assert timeless(desk / "elsewhere") == whole

    assert main([*words(desk, "stopped"), "--set", "student.lr=0.5"]) == ExitCode.MISMATCH
    assert "config differs" in capsys.readouterr().err
    assert main([*words(desk, "stopped"), "--thin", "marrow=0.5"]) == ExitCode.USAGE
    assert "marrow is no class of" in capsys.readouterr().err


def test_a_set_that_is_not_there_is_refused(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crc5", "--data", str(desk / "none"), "--into", str(desk / "x")]) == ExitCode.MISSING
    assert "the set crc5 is not there" in capsys.readouterr().err
