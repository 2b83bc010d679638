"""What a full disk says: the space of the disk that is written to, or nothing."""

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import run_chain
from pipeline.directory.layout import Layout
from pipeline.failures import ERROR_LOG, explained, log_traceback

FULL = "No space left on device"


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every folder has as many MB free as its name has letters."""
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=len(Path(place).name) * 1e6))


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize("named", [True, False])
def test_a_full_disk_tells_the_space_of_the_disk_that_is_written_to(tmp_path: Path, named: bool) -> None:
    (tmp_path / "seven77").mkdir()
    file = tmp_path / "seven77" / "gone" / "scores.h5"  # staging, which is removed by then
    error = OSError(errno.ENOSPC, FULL, str(file)) if named else OSError(errno.ENOSPC, FULL)
    known = explained(error, "rounds/00/predict", tmp_path / "other" if named else file.parent)
    assert known is not None
    assert f"(7.0 MB free in {tmp_path / 'seven77'})" in known.why
    assert known.code == 74


def test_a_full_disk_that_is_not_known_is_not_said_to_have_space() -> None:
    known = explained(OSError(errno.ENOSPC, FULL), "status")
    assert known is not None
    assert known.lines()[0] == f"error: status: {FULL} writing a file"
    assert known.why == "the disk is full or failing; what was committed before is unchanged"


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize(("number", "limit"), [(errno.EDQUOT, "quota"), (errno.EFBIG, "ulimit -f")])
def test_a_limit_that_is_reached_is_not_a_disk_that_is_full(number: int, limit: str, tmp_path: Path) -> None:
    known = explained(OSError(number, os.strerror(number), str(tmp_path / "scores.h5")), "rounds/00/predict")
    assert known is not None
    assert known.code == 74
    assert limit in known.why
    assert "free" not in known.why + known.todo, "the disk has room, and more of it would not help"


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize(
    ("words", "module", "verb", "says"),
    [
        ("resume four", "run_chain", "_session", "4.0 MB free in"),
        ("prepare c.yaml four", "pipeline.config.reading", "load_preparation", "4.0 MB free in"),
        ("report RUN --out four/page.html", "pipeline.report.build", "write_report", "4.0 MB free in"),
        ("status four", "pipeline.views.status", "status", "failing; what"),
    ],
)
def test_each_verb_knows_where_it_writes(
    words: str, module: str, verb: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, FULL)

    monkeypatch.chdir(tmp_path)
    Path("four").mkdir()
    monkeypatch.setattr(f"{module}.{verb}", full)
    assert run_chain.main(words.split()) == 74
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "module", "verb", "says"),
    [
        ("report RUN", "pipeline.report.build", "write_report", "write elsewhere: --out PLACE"),
        ("review export RUN", "pipeline.review.exporting", "export", "write elsewhere: --out PLACE"),
        ("review import RUN SHEET --by A", "pipeline.review.importing", "import_review", "use another run directory"),
        ("resume RUN", "run_chain", "_session", "use another run directory"),
    ],
)
def test_of_a_run_that_may_only_be_read_what_is_shown_can_be_written_elsewhere(
    words: str, module: str, verb: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "RUN/report")

    monkeypatch.setattr(f"{module}.{verb}", read_only)
    assert run_chain.main(words.split()) == 73
    assert capsys.readouterr().err.splitlines()[-1] == f"  do:  correct the permissions, or {says}"


@pytest.mark.parametrize("linked", ["logs", "logs/error.log"])
def test_a_traceback_is_kept_in_the_directory_and_never_written_out_of_it(tmp_path: Path, linked: str) -> None:
    layout = Layout(tmp_path / "run")
    log_traceback(ZeroDivisionError("x\x1b[2J"), layout)
    assert "ZeroDivisionError: x\\x1b[2J" in (layout.logs / ERROR_LOG).read_text()
    shutil.rmtree(layout.logs)
    (layout.root / linked).parent.mkdir(exist_ok=True)
    (layout.root / linked).symlink_to(out := tmp_path / "elsewhere")
    if linked == "logs":
        out.mkdir()
    log_traceback(ZeroDivisionError("y"), layout)
    assert not (out.exists() if linked != "logs" else list(out.iterdir()))
