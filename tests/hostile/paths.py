"""Paths in tables and links in folders: nothing outside the root is read."""

import os

from tests.hostile.case import Deed, Place, case, several
from tests.hostile.laying import chain, good

WRITTEN = {
    "climbing": "../outside/secret",
    "climbing inside": "src/../../outside/secret",
    "absolute": "{secret}",
    "account": "/etc/passwd",
    "environment": "/proc/self/environ",
    "sibling": "{inside}-2/x.png",
    "NUL": "src/A/good0.png\0.png",
    "line break": '"src/A/good0\n.png"',
    "escape": "src/A/\x1b[2Jgood0.png",
    "linked file": "src/A/link.png",
    "linked folder": "src/up/secret",
}


@several(65, "m.csv line [34]: .* (lies outside|is refused)", list(WRITTEN))
def manifest(place: Place, name: str) -> Deed:
    source = good(place.inside / "src")
    (source / "A" / "link.png").symlink_to(place.secret)
    (source / "up").symlink_to(place.outside)
    sibling = place.inside.with_name("in-2")
    sibling.mkdir()
    (sibling / "x.png").write_bytes(b"")
    text = WRITTEN[name].format(secret=place.secret, inside=place.inside)
    (place.inside / "m.csv").write_text(f"path,label\nsrc/A/good0.png,A\n{text},A\n")
    return chain(place, {"kind": "manifest", "path": place.inside / "m.csv"})


@several(65, "source main: .*(lies outside|is refused)", ["file", "folder", "name that is no text", "relative"])
def tree(place: Place, name: str) -> Deed:
    source = good(place.inside / "src")
    if name == "file":
        (source / "A" / "x.png").symlink_to(place.secret)
    elif name == "folder":
        (source / "B").symlink_to(place.outside)
    elif name == "relative":
        (source / "A" / "x.png").symlink_to("../../../outside/secret")
    else:
        (source / os.fsdecode(b"\xff\x1b[2J.png")).write_bytes(b"")
    return chain(place, {"kind": "tree", "path": source})


@case(65, "characters|is not CSV|field")
def manifest_that_is_one_cell(place: Place) -> Deed:
    good(place.inside / "src")
    (place.inside / "m.csv").write_text('path,label\nsrc/A/good0.png,"' + "x" * (1 << 20) + "\n")
    return chain(place, {"kind": "manifest", "path": place.inside / "m.csv"})
