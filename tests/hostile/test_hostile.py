"""At least 60 hostile cases: each refused in words; no code run, nothing read outside its inputs, nothing written
outside its run directory. Python's own acts are seen by an audit hook in every process, everybody's by inotify.
"""

import csv
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.hostile import cases  # noqa: F401  registers them
from tests.hostile.case import CASES, Place
from tests.hostile.inotify import Watch

ROOT = Path(__file__).parents[2]
NUMBERS = {name: number for number, name in enumerate(CASES)}
# our own processes, by their modules: a worker of `prepare`, and the reader of HDF5's texts; and how Python's
# `platform` asks for the processor
OURS = re.compile(rf"{re.escape(sys.executable)} -P -m (stages\.prepare\.worker|data\.files\.hdf5_texts) |uname -p$")


class Seen(NamedTuple):
    """Of all cases: what each said and did, and which files outside were touched by anybody."""

    said: dict[str, dict[str, Any]]
    did: dict[str, list[tuple[str, str, str]]]
    touched: set[Path]
    peak_mb: int
    folder: Path


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """One process does them all: what costs is importing, and that is done once."""
    folder = tmp_path_factory.mktemp("hostile").resolve()
    log, plugins = folder / "audit.jsonl", folder / "plugins"
    plugins.mkdir()
    (plugins / "libevil.so").write_bytes(b"\x7fELF no library at all")
    environment = {
        **os.environ, "HOSTILE_AUDIT_LOG": str(log), "HDF5_PLUGIN_PATH": str(plugins), "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{ROOT / 'tests' / 'hostile' / 'site'}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1",
        "NO_ALBUMENTATIONS_UPDATE": "1",
    }  # fmt: skip
    words = [sys.executable, "-m", "tests.hostile.runner", str(folder / "cases"), str(log)]
    with (
        (folder / "stderr").open("wb") as errors,
        subprocess.Popen(
            words, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "made\n", (folder / "stderr").read_text()[-2000:]
        places = [Place(folder / "cases" / f"{number:03d}") for number in range(len(CASES))]
        watch = Watch([plugins, *(where for place in places for where in (place.outside, place.cwd))])
        process.stdin.write("go\n")
        process.stdin.flush()
        lines = [json.loads(line) for line in process.stdout]
        touched = watch.touched()
        watch.close()
    assert process.returncode == 0, f"ended with {process.returncode} after {lines[-1:]}"
    did: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    now = ""
    for line in log.read_bytes().splitlines():
        kind, what, event = json.loads(line)
        now = what if kind == "case" else now
        if kind != "case" and now:
            did[now].append((kind, what, event))
    *said, last = lines
    return Seen({one["name"]: one for one in said}, did, touched, last["peak_mb"], folder)


def place_of(seen: Seen, name: str) -> Place:
    return Place(seen.folder / "cases" / f"{NUMBERS[name]:03d}")


def test_there_are_enough() -> None:
    assert sum(len(one.units or [1]) for one in CASES.values()) >= 60


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_words(seen: Seen, name: str) -> None:
    one, case = seen.said[name], CASES[name]
    assert one["code"] == case.code, one["said"]
    assert re.search(case.said, one["said"]), one["said"]
    assert "Traceback" not in one["said"]
    assert all(line.isprintable() for line in one["said"].split("\n")), repr(one["said"])
    assert one["seconds"] < 10
    assert "SECRET" not in one["said"]


@pytest.mark.parametrize("name", CASES)
def test_it_ran_nothing_and_kept_to_its_places(seen: Seen, name: str) -> None:
    place, wrong = place_of(seen, name), []
    for kind, what, event in seen.did[name]:
        if kind == "read" and Path(what).is_relative_to(place.inside):
            continue
        if kind in ("read", "write") and Path(what).is_relative_to(place.run):
            continue
        if kind == "write" and what == "/dev/null":
            continue
        if kind == "process" and OURS.match(what):
            continue
        wrong.append((kind, what, event))
    assert not wrong


def test_nobody_touched_anything_outside(seen: Seen) -> None:
    assert not seen.touched


def test_memory_stayed_small(seen: Seen) -> None:
    assert seen.peak_mb < 2000


@pytest.mark.parametrize("name", [name for name, one in CASES.items() if one.units])
def test_every_unit_is_refused_by_name(seen: Seen, name: str) -> None:
    units = CASES[name].units or {}
    with (place_of(seen, name).run / "table.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == len(units)
    assert {row["status"] for row in rows} == {"failed"}
    for row in rows:
        assert not re.search("internal|silent|signal|program failed", row["reason"]), row
    if rows[0]["unit"] in units:
        assert all(re.search(units[row["unit"]], row["reason"]) for row in rows), rows
    else:  # of volumes names are hashed: the reasons are compared, in any order
        reasons = [row["reason"] for row in rows]
        assert all(any(re.search(word, reason) for reason in reasons) for word in units.values()), reasons


def test_tables_hold_no_command(seen: Seen) -> None:
    tables = [path for path in (seen.folder / "cases").glob("*/run/**/quarantine.csv") if path.is_file()]
    assert len(tables) > 20
    for path in tables:
        text = path.read_text(encoding="utf-8")
        assert all(line.isprintable() for line in text.splitlines()), path
        with path.open(newline="", encoding="utf-8") as file:
            assert not [cell for row in csv.reader(file) for cell in row if cell.startswith(("=", "+", "-", "@"))], path


def test_the_hook_sees_what_it_is_there_for(tmp_path: Path) -> None:
    """A process that does each forbidden thing once: were the hook blind to one, the laws above would prove nothing."""
    log = tmp_path / "audit.jsonl"
    text = """
import os, pickle, socket, subprocess, sys
open(sys.argv[1] + "/read").close() if os.path.exists(sys.argv[1] + "/read") else None
open(sys.argv[1] + "/written", "w").close()
os.mkdir(sys.argv[1] + "/made")
subprocess.run(["true"])
os.system("true")
pickle.loads(pickle.dumps(os.getcwd))
exec(compile("1", sys.argv[1] + "/evil.py", "exec"))
socket.socket(socket.AF_UNIX).connect_ex("none")
"""
    (tmp_path / "read").write_bytes(b"")
    environment = {**os.environ, "HOSTILE_AUDIT_LOG": str(log),
                   "PYTHONPATH": f"{ROOT / 'tests' / 'hostile' / 'site'}{os.pathsep}{ROOT}"}  # fmt: skip
    subprocess.run([sys.executable, "-c", text, str(tmp_path)], env=environment, check=True)
    kinds = {json.loads(line)[0] for line in log.read_bytes().splitlines()}
    assert kinds >= {"read", "write", "process", "unpickled", "code", "network"}
    watch = Watch([tmp_path])
    (tmp_path / "read").read_bytes()
    assert watch.touched() >= {tmp_path / "read"}
    watch.close()
