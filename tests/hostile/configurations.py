"""Configurations: YAML that builds objects, unfolds, or means something else than it says."""

from tests.hostile.case import Deed, Place, several
from tests.hostile.laying import chain, good, png

HEAD = b"data: {size_px: 16, sources: [{kind: tree, path: x}]}\nselect: {rule: top_k, k: 1}\n"
BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(ord("b"), ord("j"))
)
TEXTS = {
    "object": HEAD + b"x: !!python/object/apply:os.system [touch evil]\n",
    "name": HEAD + b"x: !!python/name:os.system\n",
    "module": HEAD + b"!!python/module:antigravity : 1\n",
    "tag of a value": HEAD.replace(b"16", b"!!int '16'"),
    "aliases": BOMB,
    "alias in itself": b"data: &a {x: *a}\n",
    "key twice": HEAD + b"select: {rule: top_k, k: 2}\n",
    "two documents": HEAD + b"---\n" + HEAD,
    "depth": b"a: " + b"[" * 100_000,
    "size": b"# " + b"x" * (2 << 20),
    "NUL": HEAD + b"seed: \x00\n",
    "escape": b"\x1b]0;title\x07: 1\n",
    "number that is text": HEAD + b"seed: 1e400\n",
}


@several(78, r"c\.yaml( line \d+)?: ", list(TEXTS))
def configuration(place: Place, name: str) -> Deed:
    (place.inside / "c.yaml").write_bytes(TEXTS[name])
    return ["run", place.inside / "c.yaml", place.run]


SETTINGS = [
    "seed=!!python/object/apply:os.system [touch evil]",
    "select={rule: !!python/name:os.system , k: 1}",
    "data.sources.0.path=[*a]",
    "teacher.backbone=[$(touch evil), `touch evil`]",
]


@several(78, "--set", SETTINGS)
def setting(place: Place, text: str) -> Deed:
    (place.inside / "c.yaml").write_bytes(HEAD)
    return ["run", place.inside / "c.yaml", place.run, "--set", text]


@several(78, "does not come to an end", ["patient_pattern", "slide_pattern", "site_pattern"])
def pattern_without_an_end(place: Place, name: str) -> Deed:
    source = good(place.inside / "src")
    (source / "A" / f"{'a' * 60}.png").write_bytes(png())
    return chain(place, {"kind": "folder", "path": source, name: "((?:[a-z]+)+)$|good"})
