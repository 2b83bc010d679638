"""How far work is, from a file that may be absent, torn or somebody else's."""

import json
from pathlib import Path

import pytest

from pipeline.views.how_far import how_far

FAR = {"name": "rounds/00/teacher", "done": 1200, "total": 3000, "unit": "steps", "rate": "80 patches/s", "note": ""}


def told(folder: Path, **news: object) -> str:
    (folder / "progress.json").write_text(json.dumps(FAR | news))
    return how_far(folder, "rounds/00/teacher")


def test_it_tells_what_is_done_of_how_much_how_fast(tmp_path: Path) -> None:
    assert told(tmp_path) == "1,200/3,000 steps, 80 patches/s"
    assert told(tmp_path, note="loss 0.5") == "1,200/3,000 steps, 80 patches/s, loss 0.5"
    assert told(tmp_path, done=2.25, total=12, unit="slides") == "2.2/12 slides, 80 patches/s"


def test_of_an_ensemble_it_names_the_network(tmp_path: Path) -> None:
    assert told(tmp_path, name="rounds/00/teacher (2 of 3)") == "(2 of 3) 1,200/3,000 steps, 80 patches/s"


def test_what_would_move_the_cursor_is_shown_not_obeyed(tmp_path: Path) -> None:
    assert "\x1b" not in told(tmp_path, name="a\x1b[2J", unit="b\x1b[2J", note="c\x1b[2J")


ODD = [b'{"done": "x", "total": 1, "unit": "steps"}', b'{"done": Infinity, "total": 1, "unit": "steps"}']


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", *ODD])
def test_what_cannot_be_read_tells_nothing(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "progress.json").write_bytes(content)
    assert how_far(tmp_path, "final") == ""
