"""Who looks for a benchmark finds it in the words of the package."""

from pathlib import Path

import benchmarks

HERE = Path(benchmarks.__file__).parent


def test_every_benchmark_is_listed_once() -> None:
    there = {path.stem for path in HERE.iterdir() if path.suffix == ".py" or (path / "__main__.py").is_file()}
    words = [word.strip("(),.:?`") for word in (benchmarks.__doc__ or "").split()]
    assert {name: words.count(name) for name in there - {"__init__"}} == dict.fromkeys(there - {"__init__"}, 1)
