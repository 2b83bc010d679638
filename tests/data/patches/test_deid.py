"""Names that identify nobody, made with a secret that stays where it is."""

import hashlib
import hmac
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data.errors import ChainError, ExitCode
from data.patches.deid import own_id_key, pseudonym, read_id_key


def test_a_pseudonym_is_hmac_sha256() -> None:
    wanted = hmac.new(b"k" * 32, b"JANE^DOE", hashlib.sha256).hexdigest()[:16]
    assert pseudonym(b"k" * 32, "JANE^DOE") == wanted
    assert pseudonym(b"l" * 32, "JANE^DOE") != wanted
    assert pseudonym(b"k" * 32, "name\udcff")  # a file name that is not UTF-8


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "id_key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: own_id_key(path), range(16)))
    assert len(keys) == 1
    assert len(keys.pop()) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["id_key"]


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "id_key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ChainError):
        own_id_key(tmp_path / "id_key")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(("content", "code"), [(b"short", ExitCode.BAD_DATA), (b"x" * 5000, ExitCode.BAD_DATA)])
def test_a_key_of_the_wrong_length_is_refused_without_showing_it(tmp_path: Path, content: bytes, code: int) -> None:
    (tmp_path / "JANE.key").write_bytes(content)
    with pytest.raises(ChainError) as caught:
        read_id_key(tmp_path / "JANE.key")
    assert caught.value.code == code
    assert not any(word in " ".join(caught.value.lines()) for word in ("JANE", "short", "xxx"))


def test_a_missing_key_is_66(tmp_path: Path) -> None:
    with pytest.raises(ChainError) as caught:
        read_id_key(tmp_path / "none")
    assert caught.value.code == ExitCode.MISSING
