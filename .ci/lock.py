"""The lock: each package that an install brings, its version, and the SHA-256 of its file. No addresses.

    make lock           # asks pip what it would install, then this:
    python .ci/lock.py report.json > .ci/requirements.lock

The file is as pip reads it with --require-hashes: whatever an index or a mirror serves under these names, a file with
other bytes is refused. Wheels differ by platform, so a lock is for the one on which it was made.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

HEAD = """\
# What `make install LOCKED=1` installs: {packages} packages for {system} {machine}, {python}.
# Made by `make lock`; not to be edited. A file whose bytes differ is refused.
"""


def locked(report: dict[str, Any]) -> str:
    """The lock of a report of `pip install --dry-run --report`. Raises SystemExit for what has no digest."""
    lines = []
    for item in report["install"]:
        where, name = item["download_info"], canonical(item["metadata"]["name"])
        if "dir_info" in where:  # the project itself
            continue
        digest = where.get("archive_info", {}).get("hashes", {}).get("sha256")
        if not digest:
            raise SystemExit(f"{name}: pip reports no SHA-256 of its file, so it cannot be locked")
        lines.append(f"{name}=={item['metadata']['version']} --hash=sha256:{digest}")
    about = report["environment"]
    python = f"{about['implementation_name']} {about['python_version']}"
    head = HEAD.format(
        packages=len(lines), system=about["platform_system"], machine=about["platform_machine"], python=python
    )
    return head + "\n".join(sorted(lines, key=lambda line: line.partition("==")[0])) + "\n"


def canonical(name: str) -> str:
    """A package's name as indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.stdout.write(locked(json.loads(Path(sys.argv[1]).read_bytes())))
