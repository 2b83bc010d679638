"""Files are whole or absent, of the mode the umask gives, and never written through a link."""

import os
import stat

import pytest

from data.files.atomic import replacing, write_bytes


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_the_umask_is_honoured_and_what_is_unfinished_is_its_owners_alone(tmp_path, umask, mask):
    umask(mask)
    with replacing(tmp_path / "f") as part:
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
        part.write_bytes(b"x")
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("dangling", [True, False])
def test_a_link_planted_under_the_temporary_name_is_not_followed(tmp_path, dangling):
    victim = tmp_path / "victim"
    if not dangling:
        victim.write_bytes(b"theirs")
    (tmp_path / ".f.part").symlink_to(victim)
    write_bytes(tmp_path / "f", b"ours")
    assert (tmp_path / "f").read_bytes() == b"ours"
    assert not (tmp_path / "f").is_symlink()
    assert victim.exists() != dangling
    assert dangling or victim.read_bytes() == b"theirs"


def test_a_link_that_wins_the_race_is_an_error_and_not_committed(tmp_path, monkeypatch):
    (tmp_path / "victim").write_bytes(b"theirs")
    (tmp_path / ".f.part").symlink_to(tmp_path / "victim")
    with monkeypatch.context() as patched:  # planted again between the removal and the making
        patched.setattr("pathlib.Path.unlink", lambda *_, **__: None)
        with pytest.raises(FileExistsError):
            write_bytes(tmp_path / "f", b"ours")
    assert (tmp_path / "victim").read_bytes() == b"theirs"
    (tmp_path / ".f.part").unlink()

    def swapped():
        with replacing(tmp_path / "f") as part:
            part.unlink()
            part.symlink_to(tmp_path / "victim")

    with pytest.raises(OSError, match="something else"):
        swapped()
    assert not (tmp_path / "f").exists()
    assert stat.S_IMODE((tmp_path / "victim").stat().st_mode) != 0o600


def test_what_stands_stays_when_writing_fails(tmp_path):
    write_bytes(tmp_path / "f", b"old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "f") as part:
        part.write_bytes(b"new" * (1 // 0))
    assert (tmp_path / "f").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
