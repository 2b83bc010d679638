"""What rows of a preparation tell together."""

from pipeline.prepare.rows import Row, drawn_in_vain


def unit(regions: dict[str, int] | None, labels: dict[str, int]) -> Row:
    drawn = {} if regions is None else {"annotations": {"regions": regions}}
    return Row("u", "u", "done", {"labels": labels, **drawn})


def test_a_class_that_is_drawn_somewhere_and_labels_nothing_anywhere_is_named() -> None:
    rows = [unit({"tumor": 2, "fat": 1, "glass": 1}, {"fat": 3}), unit({"tumor": 1}, {"tumor": 9}), unit(None, {})]
    assert drawn_in_vain(rows) == ["glass"]
    assert drawn_in_vain([]) == []
