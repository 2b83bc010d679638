"""What is measured is the stage's own work: islands that were drawn apart are told apart."""

from pathlib import Path

from benchmarks.large_graph import draw, measured


def test_a_small_pool_is_measured(tmp_path: Path) -> None:
    draw(tmp_path, 2000)
    found = measured(tmp_path, labels=300, most=900)
    assert found["right"] > 0.95
    assert 0 < found["own"] <= found["peak"]
    assert found["s"] > 0
