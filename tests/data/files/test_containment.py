import os
from pathlib import Path

import pytest

from data.errors import ChainError
from data.files.containment import Root, walk


@pytest.fixture
def root(tmp_path):
    for name in ("b/2.png", "b/10.png", "a.png", "B.png", ".hidden/x.png", "b/.x.png", "__MACOSX/b.png", "é.png"):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_bytes(b"")
    (tmp_path / "outside.png").write_bytes(b"")
    return tmp_path / "root"


def test_a_walk_is_sorted_by_bytes_and_skips_hidden_files(root):
    assert list(walk(Root(root, "here"), "here")) == ["B.png", "a.png", "b/10.png", "b/2.png", "é.png"]


@pytest.mark.parametrize("given", ["../outside.png", "b/../../outside.png", "/etc/passwd", "b/../..", "..", "/"])
def test_no_written_path_leaves_the_root(root, given):
    with pytest.raises(ChainError, match="outside") as caught:
        Root(root, "here").key(given, "line 3")
    assert caught.value.code == 65
    assert "line 3" in caught.value.what


def test_no_link_leaves_the_root(root):
    (root / "link.png").symlink_to(root.parent / "outside.png")
    (root / "up").symlink_to(root.parent)
    for given in ("link.png", "up/outside.png"):
        with pytest.raises(ChainError, match="outside"):
            Root(root, "here").key(given, "line 3")
    (root / "up").unlink()
    with pytest.raises(ChainError, match=r"link\.png lies outside"):
        list(walk(Root(root, "here"), "here"))
    (root / "link.png").unlink()
    (root / "up").symlink_to(root.parent)
    with pytest.raises(ChainError, match="up lies outside"):
        list(walk(Root(root, "here"), "here"))


def test_a_sibling_with_the_same_beginning_is_outside(root):
    sibling = root.with_name("root2")
    sibling.mkdir()
    (sibling / "x.png").write_bytes(b"")
    with pytest.raises(ChainError, match="outside"):
        Root(root, "here").key(str(sibling / "x.png"), "line 1")


def test_links_inside_the_root_are_kept_and_linked_folders_refused(root):
    (root / "same.png").symlink_to("a.png")
    assert "same.png" in list(walk(Root(root, "here"), "here"))
    (root / "loop").symlink_to(root)
    with pytest.raises(ChainError, match="linked folder"):
        list(walk(Root(root, "here"), "here"))


def test_a_root_may_itself_be_a_link_and_be_named_either_way(root):
    link = root.with_name("link")
    link.symlink_to(root)
    for given in ("b/2.png", str(link / "b/2.png"), str(root / "b/2.png"), "b/../b/2.png", "./b/2.png"):
        assert Root(link, "here").key(given, "line 1") == "b/2.png"


@pytest.mark.parametrize("given", ["a\0.png", "a\n.png", "\x1b[2Ja.png"])
def test_control_characters_are_refused(root, given):
    with pytest.raises(ChainError, match="refused"):
        Root(root, "here").key(given, "line 1")


def test_a_name_that_is_no_utf8_is_refused(root):
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.png")).write_bytes(b"")
    with pytest.raises(ChainError, match="refused"):
        list(walk(Root(root, "here"), "here"))


def test_a_missing_root_says_so(tmp_path):
    with pytest.raises(ChainError, match="is missing") as caught:
        Root(tmp_path / "none", "source main")
    assert caught.value.code == 66
