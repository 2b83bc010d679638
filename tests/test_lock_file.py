"""The supply chain: what is locked is what the project asks for, and a file with other bytes is refused."""

import base64
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / ".ci" / "requirements.lock"
LINE = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]*)==(?P<version>[0-9][\w.+!-]*) --hash=sha256:[0-9a-f]{64}")


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lock", ROOT / ".ci" / "lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_line_is_one_version_with_its_digest_and_no_address() -> None:
    lines = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    assert all(LINE.fullmatch(line) for line in lines)
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(set(names))


def test_all_that_the_project_asks_for_is_locked_at_a_version_that_it_allows(program: ModuleType) -> None:
    locked = {m["name"]: m["version"] for m in map(LINE.match, LOCK.read_text().splitlines()) if m}
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = about["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"], *about["build-system"]["requires"]]
    for requirement in map(Requirement, asked):
        version = locked[program.canonical(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}, locked {version}: make lock"


def test_only_the_locked_way_needs_the_lock() -> None:
    def commands(*words: str) -> str:
        asked = ["make", "--dry-run", "--always-make", "install", *words]
        return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "--require-hashes" not in commands()
    assert "--require-hashes -r .ci/requirements.lock" in commands("LOCKED=1")


def wheel(folder: Path, content: str) -> Path:
    """A wheel of one module."""
    path = folder / "tiny_thing-1.0-py3-none-any.whl"
    files = {
        "tiny_thing.py": content,
        "tiny_thing-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n",
        "tiny_thing-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(text)}")
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr("tiny_thing-1.0.dist-info/RECORD", "\n".join([*rows, "tiny_thing-1.0.dist-info/RECORD,,"]))
    return path


def pip(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Pip that asks no index, and does not see how this machine is set up."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    env |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pip", *map(str, words)], env=env, capture_output=True, text=True, check=False
    )


def test_a_tampered_wheel_is_refused_and_nothing_is_installed(program: ModuleType, tmp_path: Path) -> None:
    files, lock, into = tmp_path / "files", tmp_path / "requirements.lock", tmp_path / "into"
    files.mkdir()
    wheel(files, "x = 1\n")
    offline = ["--no-index", "--find-links", files]
    report = tmp_path / "report.json"
    asked = pip("install", "--dry-run", "--ignore-installed", "--report", report, *offline, "tiny-thing")
    assert asked.returncode == 0, asked.stderr
    lock.write_text(program.locked(json.loads(report.read_text())))
    assert any(LINE.fullmatch(line) for line in lock.read_text().splitlines())
    install = ["install", "--require-hashes", "--target", into, *offline, "-r", lock]
    sound = pip(*install)
    assert sound.returncode == 0, sound.stderr
    assert (into / "tiny_thing.py").read_text() == "x = 1\n"

    into = tmp_path / "other"
    install[install.index("--target") + 1] = into
    wheel(files, "x = 2\n")  # a sound wheel of the same name and version
    tampered = pip(*install)
    assert tampered.returncode != 0
    assert "DO NOT MATCH THE HASHES" in tampered.stderr
    assert not list(tmp_path.glob("other/*"))
    lock.write_text("tiny-thing==1.0\n")
    unlocked = pip(*install)
    assert unlocked.returncode != 0
    assert not list(tmp_path.glob("other/*"))


def test_what_pip_gives_no_digest_of_is_not_locked(program: ModuleType) -> None:
    item = {"download_info": {"archive_info": {}}, "metadata": {"name": "A_b", "version": "1"}}
    with pytest.raises(SystemExit, match="a-b: pip reports no SHA-256"):
        program.locked({"install": [item], "environment": {}})
