"""The table in the documentation is what its plot is drawn from."""

from pathlib import Path

from benchmarks.large_pool import plot, read_table

DOCS = Path(__file__).resolve().parents[2] / "docs" / "performance.md"


def test_the_table_in_the_documentation_is_read_and_drawn(tmp_path: Path) -> None:
    rows = read_table(DOCS)
    assert [(row["rule"], row["patches"]) for row in rows] == [
        (rule, size) for rule in ("top_k", "balanced") for size in (10**6, 10**7, 10**8)
    ]
    assert all(0 < row["own"] < row["peak"] and row["s"] > 0 for row in rows)
    plot(rows, tmp_path / "pool.png")
    assert (tmp_path / "pool.png").read_bytes().startswith(b"\x89PNG")
