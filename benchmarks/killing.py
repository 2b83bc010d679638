"""Kill a start of the program, see that nothing of it is left, and compare what it had committed."""

import hashlib
import os
import signal
import time
from pathlib import Path

LEFT_S = 30.0  # until no process of a killed start may be there any more


def session_of(leader: int) -> set[int]:
    """The processes of that session that are alive, by the process table."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(session) == leader and state != "Z":
            found.add(int(entry.name))
    return found


def killed_or_done(child: int, after_s: float | None, alone: bool) -> tuple[bool, float]:
    """Wait, kill; whether it was killed, and the seconds until the last of its processes was gone."""
    until = None if after_s is None else time.monotonic() + after_s
    while until is None or time.monotonic() < until:
        pid, status = os.waitpid(child, 0 if until is None else os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            assert code == 0, f"exit {code}"
            return False, 0.0
        time.sleep(0.002)
    if alone:
        os.kill(child, signal.SIGKILL)
    else:
        os.killpg(child, signal.SIGKILL)
    struck = time.monotonic()
    os.waitpid(child, 0)
    while session_of(child):
        assert time.monotonic() - struck < LEFT_S, f"left behind: {session_of(child)}"
        time.sleep(0.01)
    return True, time.monotonic() - struck


def committed(run: Path) -> dict[str, str]:
    """Every file that counts: the configuration, and all that the stages published. Logs tell times, so not they."""
    files = [run / "config.yaml"]
    for record in sorted(run.glob("**/stage.json")):
        if ".staging" not in record.parts and ".trash" not in record.parts:
            files += [path for path in record.parent.iterdir() if path.is_file()]
    return {str(p.relative_to(run)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Names of committed files that are not the same in both, or stand in one alone."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
