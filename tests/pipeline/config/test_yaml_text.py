import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ChainError, ExitCode
from pipeline.config.yaml_text import dump_yaml, parse, read_yaml

tricky = [
    "no",
    "on",
    "yes",
    "1e-4",
    "1",
    "null",
    "~",
    "",
    "a: b",
    "- x",
    "010",
    "2001-01-01",
    "<<",
    "=",
    "0x1f",
    "1:30",
    ".inf",
]
texts = st.sampled_from(tricky) | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


@given(st.dictionaries(texts, values, min_size=1))
def test_what_is_dumped_is_read_back_with_the_same_types(value: dict[str, Any]) -> None:
    def typed(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: typed(inner) for key, inner in item.items()}
        return [typed(inner) for inner in item] if isinstance(item, list) else (type(item), item)

    large = [n for n in _integers(value) if len(str(n)) >= 64]  # too long for a whole number of a configuration
    if not large:
        assert typed(parse(dump_yaml(value).encode(), "x").value) == typed(value)


def _integers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [n for inner in value.values() for n in _integers(inner)]
    if isinstance(value, list):
        return [n for inner in value for n in _integers(inner)]
    return [value] if isinstance(value, int) else []


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("no", "no"), ("on", "on"), ("true", True), ("010", 10), ("1:30", "1:30"), ("'1'", "1"),
     (".nan", ".nan"), ("2001-01-01", "2001-01-01"), ("null", None), ("1_000", "1_000"), ("1e999", "1e999"),
     ("-3", -3)],
)  # fmt: skip
def test_scalars_mean_what_they_look_like(text: str, value: object) -> None:
    read = parse(f"a: {text}".encode(), "x").value["a"]
    assert read == value
    assert type(read) is type(value)
    assert not isinstance(read, float) or math.isfinite(read)


def test_every_key_and_item_knows_its_line() -> None:
    lines = parse(b"a: 1\nb:\n  c:\n    - x\n    - {d: 2}\n", "x").lines
    assert {".".join(place): line for place, line in lines.items() if place} == {
        "a": 1, "b": 2, "b.c": 3, "b.c.0": 4, "b.c.1": 5, "b.c.1.d": 5,
    }  # fmt: skip


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(ord("b"), ord("j"))
)
REFUSED = {
    "python tag": (b"a: 1\nb: !!python/object/apply:os.system [id]", "line 2: YAML tag"),
    "own tag": (b"a: !x 1", "line 1: YAML tag"),
    "tag on a mapping": (b"a: !!map {}", "line 1: YAML tag"),
    "duplicate key": (b"a:\n  b: 1\n  b: 2", "line 3: a.b: duplicate key (first on line 2)"),
    "tabs": (b"a:\n\tb: 1", "line 2: a tab"),
    "alias bomb": (BOMB, "more than 16 aliases"),
    "few aliases that double": (
        b"a: &a [1,1]\n" + b"".join(b"%c: &%c [*%c,*%c]\n" % (c, c, c - 1, c - 1) for c in range(98, 107)), "aliases"),
    "alias of itself": (b"a: &a [*a]", "contains itself"),
    "unknown alias": (b"a: *b", "undefined alias"),
    "two documents": (b"a: 1\n---\nb: 1", "document"),
    "not closed": (b"a: [1", "line "),
    "deep": (b"a: " + b"[" * 5000, "nested deeper"),
    "control character": (b"a: \x00", "character"),
    "not UTF-8": (b"a: 1\nb: \xff", "line 2: not UTF-8"),
    "lone surrogate": (b'a: "\\ud800"', "line 1"),
    "list as a key": (b"[a]: 1", "a key that is not a word"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("c_parser", [True, False])
def test_unsafe_yaml_is_refused_with_its_line(name: str, c_parser: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not c_parser:  # PyYAML may be installed without its C library
        monkeypatch.delattr(yaml, "CBaseLoader", raising=False)
    content, words = REFUSED[name]
    with pytest.raises(ChainError) as caught:
        parse(content, "f.yaml")
    assert caught.value.code == ExitCode.MISMATCH
    assert caught.value.what.startswith("f.yaml line ")
    assert words in caught.value.what


def test_missing_and_huge_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="missing") as caught:
        read_yaml(tmp_path / "no.yaml")
    assert caught.value.code == ExitCode.MISSING
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"# " + b"x" * (1 << 20))
    with pytest.raises(ChainError, match="too large") as caught:
        read_yaml(huge)
    assert caught.value.code == ExitCode.MISMATCH
