import json

import pytest
from pydantic import ValidationError

from data.config import DataConfig

TREE = {"kind": "tree", "path": "x"}


def _config(**keys):
    return DataConfig.model_validate_json(json.dumps({"size_px": 8, "sources": [TREE], **keys}))


def test_a_single_source_needs_no_name():
    assert _config().sources[0].name == "main"


@pytest.mark.parametrize(
    ("keys", "gist"),
    [
        ({"sources": [TREE, TREE]}, "two sources are called 'main'"),
        ({"sources": []}, "sources"),
        ({"sources": [{"kind": "zip", "path": "x"}]}, "kind"),
        ({"sources": [{"kind": "tree", "path": "x", "pattern": "y"}]}, "pattern"),
        ({"classes": ["A", "A"]}, "named twice"),
        ({"classes": ["A"]}, "classes"),
        ({"size_px": 0}, "size_px"),
        ({"size_px": "96"}, "size_px"),
        ({"mode": "rgb16"}, "mode"),
        ({"quarantine_limit": 2}, "quarantine_limit"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys, gist):
    with pytest.raises(ValidationError, match=gist):
        _config(**keys)


def test_where_patches_lie_is_no_part_of_the_recipe():
    elsewhere = _config(sources=[{"kind": "tree", "path": "moved"}])
    assert _config().recipe() == elsewhere.recipe()
    assert _config(size_px=9).recipe() != _config().recipe()
