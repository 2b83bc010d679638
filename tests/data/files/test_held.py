import os
from pathlib import Path

from data.files.held import held_sha256


def test_both_ends_and_the_size_count_and_the_place_does_not(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    content = bytes(range(100))
    one.write_bytes(content)
    other.write_bytes(content)
    os.utime(other, (0, 0))
    before = held_sha256([one], 10)
    assert before == held_sha256([other], 10) != held_sha256([one, other], 10)
    for changed in (b"\xff" + content[1:], content[:-1] + b"\xff", content[:50] + content[49:], content[:-1]):
        other.write_bytes(changed)
        assert held_sha256([other], 10) != before


def test_a_file_is_read_whole_where_its_two_ends_meet(tmp_path: Path) -> None:
    path, content = tmp_path / "x", bytes(20)
    path.write_bytes(content)
    before = held_sha256([path], 10)
    for at in range(20):
        path.write_bytes(content[:at] + b"\1" + content[at + 1 :])
        assert held_sha256([path], 10) != before


def test_what_is_no_file_is_neither_waited_for_nor_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found = {held_sha256([tmp_path / name]) for name in ("pipe", "nowhere", ".")}
    assert len(found) == 1
