"""A cell is done or it is not, and it knows what it was made from."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.label_efficiency import cells
from benchmarks.label_efficiency.cells import Cell
from benchmarks.label_efficiency.intervals import Tallies, redrawn
from data.errors import ChainError, ExitCode

RESULT = {"rows": [{"round": 0, "seconds": 1.5}]}
COUNTED = {
    "0/pool": Tallies(np.arange(8.0).reshape(2, 2, 2), np.linspace(0, 1, 90).reshape(2, 15, 3)),
    "None/unseen": Tallies(np.ones((1, 2, 2)), np.ones((1, 15, 3))),
}


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    cell = Cell(tmp_path / "a" / "b", {"steps": 3, "names": ("x", "y")})
    assert cell.done() is None
    cell.keep(RESULT, COUNTED)
    again = Cell(cell.place, {"names": ["x", "y"], "steps": 3}).done()
    assert again is not None
    assert again[0] == RESULT
    assert again[1].keys() == COUNTED.keys()
    for key, groups in COUNTED.items():
        np.testing.assert_array_equal(again[1][key].confusion, groups.confusion)
        np.testing.assert_array_equal(again[1][key].bins, groups.bins)
        # figures of a row that was read are those of the row that was kept, to the bit
        np.testing.assert_array_equal(redrawn(again[1][key], "pool"), redrawn(groups, "pool"))


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    Cell(tmp_path, {"steps": 3, "seed": 0}).keep(RESULT, COUNTED)
    with pytest.raises(ChainError) as refused:
        Cell(tmp_path, {"steps": 4, "seed": 0}).done()
    assert refused.value.code == ExitCode.MISMATCH
    assert "steps differs" in refused.value.what


def test_killed_between_its_two_files_it_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    cell = Cell(tmp_path, {})
    monkeypatch.setattr(cells, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        cell.keep(RESULT, COUNTED)
    assert (tmp_path / "tallies.npz").is_file()
    assert cell.done() is None


@pytest.mark.parametrize("left", [1, 100])
@pytest.mark.parametrize("name", ["result.json", "tallies.npz"])
def test_a_damaged_cell_is_said(tmp_path: Path, name: str, left: int) -> None:
    cell = Cell(tmp_path, {})
    cell.keep(RESULT, COUNTED)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:left])
    with pytest.raises(ChainError) as refused:
        cell.done()
    assert refused.value.code == ExitCode.DAMAGED
