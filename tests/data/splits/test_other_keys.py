import json

import pytest

from data.patches.deid import key_name
from data.prepared import ID_KEY, INDEX
from data.readers.folder import Folder
from data.readers.prepared import Prepared
from data.splits.other_keys import warn_of_other_keys
from tests.fake_preparation import prepared_in

ONE, OTHER = b"0123456789abcdef", b"fedcba9876543210"


@pytest.fixture
def source(tmp_path):
    def make(name: str, key: bytes | None, written_down: bool = True) -> Prepared:
        (tmp_path / name).mkdir()
        root = prepared_in(tmp_path / name)
        if key is not None and written_down:
            index = json.loads((root / INDEX).read_bytes())
            (root / INDEX).write_text(json.dumps(index | {"key": key_name(key)}))
        elif key is not None:
            (root / ID_KEY).write_bytes(key + b"\n")
        return Prepared(name=name, path=root)

    return make


@pytest.mark.parametrize("written_down", [True, False])
def test_two_keys_are_said_for_a_patient_in_both_would_be_taken_for_two(source, tmp_path, written_down):
    sources = [source("a", ONE), source("b", ONE), source("c", OTHER, written_down)]
    (said,) = warn_of_other_keys(sources)
    assert "sources a and c" in said
    assert str(tmp_path / "a" / "prepared" / "id_key") in said


def test_one_key_or_none_is_nothing_to_say(source, tmp_path):
    assert warn_of_other_keys([source("a", ONE), source("b", ONE, False)]) == []
    assert warn_of_other_keys([source("c", None), source("d", None), Folder(path=tmp_path)]) == []


def test_a_key_is_not_told_by_its_name():
    assert key_name(ONE) != key_name(OTHER)
    assert ONE.hex() not in key_name(ONE)
