"""The table of folding and compiling: a row for each work, with the figures of what was run."""

import pytest
import torch

from benchmarks import compiled


def test_every_work_is_a_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[torch.nn.Module] = []

    def compile_nothing(network: torch.nn.Module) -> torch.nn.Module:  # a compiler takes longer than all else here
        seen.append(network)
        return network

    monkeypatch.setattr(torch, "compile", compile_nothing)
    words = ["--backbones", "test_resnet", "--size-px", "24", "--batch-size", "4", "--repeats", "3", "--threads", "1"]
    assert compiled.main(words) == 0
    heads, _, *rows = [line.strip("| ").split("|") for line in capsys.readouterr().out.splitlines()]
    student, labelling = ([cell.strip() for cell in row] for row in rows)
    assert {len(row) for row in (heads, student, labelling)} == {9}
    assert (student[:2], labelling[:2]) == (["student", "test_resnet"], ["labelling", "test_resnet"])
    assert (student[3], student[5]) == ("", "1.00"), "a training is not folded"
    assert float(labelling[5]) > 0
    norms = [sum(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules()) for network in seen]
    assert norms[0] > 0 == norms[1], "a labelling is compiled after folding"


def test_what_saves_nothing_is_never_earned(monkeypatch: pytest.MonkeyPatch) -> None:
    args = compiled.parsed(["--batch-size", "10", "--repeats", "3"])
    spent = {"written": 10.0, "compiled": 5.0}
    monkeypatch.setattr(compiled, "steps", lambda *_: {name: lambda: None for name in spent})
    times = iter([10.0, 105.0] + 3 * [10.0, 5.0])  # the first of each, then turns
    monkeypatch.setattr(compiled, "seconds", lambda step: next(times))
    assert compiled.row(args, "net", "student").split(" | ")[-3:] == ["2.00", "100", "200 |"]
    times = iter([10.0, 105.0] + 3 * [10.0, 20.0])
    assert compiled.row(args, "net", "student").endswith("| never |")
