"""The chain is struck at every place where it opens a file for writing, renames or removes: the end is the same."""

import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.directory import ledger
from tests.fake_stages import CONFIG, FakeLauncher, committed, config_in, session
from tests.small_process import in_small_process

WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "os.truncate"}
UNREACHED, STRUCK, FAILED = 0, 9, 1


def in_child(do: Callable[[], object], point: int, error: int | None) -> int:
    """Run `do` in a child process and strike at the `point`th write: end at once, or raise that OSError there."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen = 0

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal seen
        if event == "open":
            if not isinstance(args[2], int) or not args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event not in WRITES:
            return
        seen += 1
        if seen == point and error is None:
            os._exit(STRUCK)
        if seen == point and error is not None:
            raise OSError(error, os.strerror(error), "somewhere")

    code = FAILED
    try:
        sys.addaudithook(hook)
        do()
        code = UNREACHED if seen < point else STRUCK  # a ledger that cannot be written ends nothing
    except OSError as raised:
        code = STRUCK if raised.errno == error else FAILED
    except BaseException:  # noqa: BLE001 the child must end here, whatever happened
        import traceback

        traceback.print_exc()
        code = FAILED
    finally:
        os._exit(code)


def sweep(tmp_path: Path, begin: Callable[[Path], None], do: Callable[[Path], object], error: int | None) -> int:
    """Strike at every point once, do the same again, compare with the run that nothing struck. Returns the points."""
    ledger.versions = lambda: {}  # asked of every installed package at every start; the ledger takes any
    plain = tmp_path / "plain"
    begin(plain)
    do(plain)
    truth = committed(plain)
    point = 0
    while True:
        point += 1
        struck = tmp_path / f"struck-{point}"
        begin(struck)
        code = in_child(lambda root=struck: do(root), point, error)
        assert code != FAILED, f"point {point}"
        do(struck)
        assert committed(struck) == truth, f"point {point}"
        assert not [part for part in struck.rglob("*.part") if ".trash" not in part.parts], f"point {point}"
        assert not list((struck / ".staging").iterdir()), f"point {point}"
        if code == UNREACHED:
            return point - 1
        shutil.rmtree(struck)


def sweep_of_a_run(tmp_path: str, error: int | None) -> int:
    # four steps: the loop treats all alike
    config = config_in(Path(tmp_path), CONFIG, "rounds=0")
    return sweep(Path(tmp_path), lambda root: None, lambda root: session(root).run(config), error)


def sweep_of_a_rerun(tmp_path: str) -> int:
    before = Path(tmp_path, "before")
    session(before).run(config_in(Path(tmp_path)))
    return sweep(
        Path(tmp_path),
        lambda root: shutil.copytree(before, root) and None,
        lambda root: session(root).rerun("rounds/00/student", ["student.steps=7"]),
        None,
    )


@pytest.mark.parametrize("error", [None, errno.ENOSPC], ids=["killed", "disk full"])
def test_struck_between_any_two_writes_ends_with_the_same_bytes(tmp_path: Path, error: int | None) -> None:
    assert in_small_process(sweep_of_a_run, str(tmp_path), error) > 60


def test_a_rerun_struck_between_any_two_writes_ends_with_the_same_bytes(tmp_path: Path) -> None:
    assert in_small_process(sweep_of_a_rerun, str(tmp_path)) > 30


def test_a_sealed_orphan_is_adopted_and_never_repeated(tmp_path: Path) -> None:
    config = config_in(tmp_path)

    def killed() -> None:
        from pipeline.directory.rundir import RunDir

        RunDir.publish = lambda self, step: os._exit(STRUCK) if step.name == "teacher" else published(self, step)  # type: ignore[method-assign]
        session(tmp_path / "run").run(config)

    from pipeline.directory.rundir import RunDir

    published = RunDir.publish
    assert in_child(killed, 0, None) == STRUCK
    launcher = FakeLauncher()
    session(tmp_path / "run", launcher).run(config)
    assert "rounds/00/teacher" not in launcher.launched
    assert "rounds/00/predict" in launcher.launched
