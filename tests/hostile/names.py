"""Names: of runs, classes, patients and files, for a shell, a terminal, a spreadsheet and a log."""

from tests.hostile.case import Deed, Place, several
from tests.hostile.laying import chain, good

RUNS = ["a;touch evil", "$(touch evil)", "`touch evil`", "a\nb", "\x1b]0;title\x07\x1b[2J", "%s%n%x", "| touch evil",
        "\u202egnp.exe", "a\\x1b[2J"]  # fmt: skip


@several(65, "1 of 3 patches .* cannot be used", RUNS)
def run_called(place: Place, name: str) -> Deed:
    source = good(place.inside / "src")
    (source / "A" / "evil.png").write_bytes(b"GIF89a")
    words = list(chain(place, {"kind": "folder", "path": source}))
    words[2] = place.run / name
    return words


@several(66, "is not a run directory", RUNS)
def looked_at(place: Place, name: str) -> Deed:
    return ["status", place.run / name]


CLASSES = ["=cmd|' /C calc'!A0", "@SUM(1)", '"><img src=x onerror=alert(1)>', "</script><script>", "\x1b[31mred",
           "\u202ecod", "$(touch evil)", "-rf", "a'b\"c;d"]  # fmt: skip


@several(65, "1 of 4 patches .* cannot be used", CLASSES)
def class_called(place: Place, name: str) -> Deed:
    """The class is listed, its one image refused; the quarantine table and every message name it."""
    source = good(place.inside / "src")
    folder = source / name.replace("/", "\u2215")
    folder.mkdir()
    (folder / "+evil.png").write_bytes(b"GIF89a")
    (folder / "good.png").write_bytes((source / "A" / "good0.png").read_bytes())
    return chain(place, {"kind": "folder", "path": source})
