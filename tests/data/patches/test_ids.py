from data.patches.ids import id_text, patch_id


def test_an_id_depends_on_source_and_key_alone():
    assert patch_id("main", "a.png") == patch_id("main", "a.png")
    assert len({patch_id("main", "a.png"), patch_id("main", "b.png"), patch_id("mai", "na.png")}) == 3


def test_an_id_is_what_it_always_was():
    assert id_text(patch_id("main", "A/p0_0.jpg")) == "09632234c25eb504"
