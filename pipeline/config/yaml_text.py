"""Safe YAML: plain values and the line of every key; no tags, no duplicate keys, no alias bombs, no YAML 1.1 traps.

Scalars follow YAML 1.2: `1e-4` is a number, `no` and `on` are text, only `true` and `false` are booleans.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from data.errors import ChainError, ExitCode

MAX_BYTES = 1 << 20
MAX_ALIASES = 16
MAX_DEPTH = 32
MAX_NODES = 200_000
DEEP = f"nested deeper than {MAX_DEPTH} levels"

Place = tuple[str, ...]  # ("data", "sources", "0", "path")

_CORE = {
    "null": re.compile(r"^(?:~|null|Null|NULL|)$"),
    "bool": re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
    "int": re.compile(r"^[-+]?[0-9]+$"),
    "float": re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
}
_FIRST = {"null": [*"~nN", ""], "bool": list("tTfF"), "int": list("-+0123456789"), "float": list("-+.0123456789")}


class _Resolver(yaml.resolver.BaseResolver):
    """YAML 1.2 core scalars, without infinities and NaN: no configuration value is either."""


for _name in ("null", "bool", "int", "float"):
    _Resolver.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _CORE[_name], _FIRST[_name])


class _Dumper(yaml.SafeDumper):
    """Quotes exactly the text that the reader would take for something else."""

    yaml_implicit_resolvers = _Resolver.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        return True


@dataclass
class Document:
    """`value`: plain dicts with text keys, lists and scalars. `lines`: the line of every key and list item, from 1."""

    value: Any
    lines: dict[Place, int] = field(default_factory=dict)


class _RefusedError(Exception):
    def __init__(self, line: int, what: str, todo: str) -> None:
        super().__init__(what)
        self.line, self.what, self.todo = line, what, todo


def read_yaml(path: Path) -> Document:
    """Read a YAML file. Raises ChainError: 66 when missing, 78 when it is refused, naming file and line."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise ChainError(f"{path} is missing", "there is no such file", "check the path", ExitCode.MISSING) from None
    except OSError as error:
        raise ChainError(
            f"{path} cannot be read",
            error.strerror or str(error),
            "check the path and its permissions",
            ExitCode.MISSING,
        ) from error
    if len(content) > MAX_BYTES:
        raise ChainError(
            f"{path}: too large",
            "a configuration is at most 1 MiB",
            "check that this is the right file",
            ExitCode.MISMATCH,
        )
    return parse(content, str(path))


def parse(content: bytes, name: str) -> Document:
    """Parse YAML text; `name` stands for it in messages. Raises ChainError (78)."""
    try:
        return _parse(content.decode("utf-8"))
    except _RefusedError as refused:
        line, what, todo = refused.line, refused.what, refused.todo
    except UnicodeDecodeError as error:
        line, what, todo = content[: error.start].count(b"\n") + 1, "not UTF-8 text", "save the file as UTF-8"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what, todo = error.problem or "not YAML", "correct the YAML on this line"
        if "nesting depth" in what:  # PyYAML's C library, since 6.0.4, has a limit of its own, and looks ahead
            what, todo = DEEP, "check the brackets"
        if "'\\t'" in what or "\t" in what or _has_tab(content, line):
            what, todo = "a tab where YAML wants spaces", "indent with spaces"
    except yaml.YAMLError as error:
        line = 1
        if isinstance(error, yaml.reader.ReaderError):
            what, todo = "a character that YAML does not allow", "remove the control character"
        else:
            what, todo = "not YAML", "correct the YAML"
    raise ChainError(f"{name} line {line}: {what}", "the file is not plain, safe YAML", todo, ExitCode.MISMATCH)


def dump_yaml(value: Any) -> str:
    """YAML that `parse` reads back as the equal value. Keys keep their order."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def _has_tab(content: bytes, line: int) -> bool:
    lines = content.split(b"\n")
    row = lines[line - 1] if line <= len(lines) else b""
    return row[: len(row) - len(row.lstrip())].count(b"\t") > 0


def _parse(text: str) -> Document:
    _refuse_unsafe(text)
    node = yaml.compose(text, Loader=_loader())
    if node is None:
        return Document(None)
    document = Document(None)
    document.value = _Reader(document.lines).plain(node, ())
    return document


def _loader() -> Any:
    # the C parser reads 1 MiB in a fraction of a second, the Python one in ten; composing resolves no scalars
    return getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def _refuse_unsafe(text: str) -> None:
    """Tags, many aliases and deep nesting are refused on the event stream, before anything is built."""
    aliases = depth = 0
    for event in yaml.parse(text, Loader=_loader()):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            aliases += 1
            if aliases > MAX_ALIASES:
                raise _RefusedError(line, f"more than {MAX_ALIASES} aliases", "write the values out")
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _RefusedError(line, DEEP, "check the brackets")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None:
            raise _RefusedError(line, f"YAML tag {event.tag}", "remove the tag: only plain values are read")  # type: ignore[attr-defined]


class _Reader:
    """Turns a node graph into plain values. Counts nodes after alias expansion, so that no bomb unfolds."""

    def __init__(self, lines: dict[Place, int]) -> None:
        self.lines = lines
        self.nodes = 0
        self.open: set[int] = set()

    def plain(self, node: yaml.Node, place: Place) -> Any:
        line = node.start_mark.line + 1
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _RefusedError(line, "aliases unfold to too many values", "write the values out")
        if id(node) in self.open:
            raise _RefusedError(line, "an alias that contains itself", "write the values out")
        self.open.add(id(node))
        self.lines.setdefault(place, line)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, place)
            if isinstance(node, yaml.SequenceNode):
                return [self.plain(item, (*place, str(i))) for i, item in enumerate(node.value)]
            assert isinstance(node, yaml.ScalarNode)
            return _scalar(node, line)
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise _RefusedError(line, "a key that is not a word", "use plain words as keys")
            key = str(key_node.value)
            inner = (*place, key)
            if key in mapping:
                raise _RefusedError(
                    line, f"{'.'.join(inner)}: duplicate key (first on line {self.lines[inner]})", "keep one of the two"
                )
            self.lines[inner] = line
            mapping[key] = self.plain(value_node, inner)
        return mapping


def _scalar(node: yaml.ScalarNode, line: int) -> Any:
    text: str = node.value
    if any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise _RefusedError(line, "half a character (a lone surrogate)", "write the whole character")
    if node.style not in (None, ""):  # quoted or block: text
        return text
    if _CORE["null"].match(text):
        return None
    if _CORE["bool"].match(text):
        return text.lower() == "true"
    if _CORE["int"].match(text) and len(text) < 64:
        return int(text)
    if _CORE["float"].match(text) and math.isfinite(float(text)):
        return float(text)
    return text
