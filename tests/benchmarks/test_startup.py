"""The commands that only look import nothing that computes."""

from benchmarks.startup import Spent, libraries, middle


def test_a_plan_imports_nothing_that_reads_pixels_or_draws_regions() -> None:
    found = libraries(["plan", "configs/demo.yaml"])
    assert {"pydantic", "yaml"} <= set(found)
    assert not {"torch", "timm", "albumentations", "h5py", "shapely", "openslide", "PIL"} & set(found)


def test_the_middle_is_of_each_figure_by_itself() -> None:
    assert middle([Spent(1, 6), Spent(2, 5), Spent(3, 4)]) == Spent(2, 5)
