"""Where an error came from, without what it said: messages of libraries carry names of files and values of tags."""

import traceback


def frames(error: BaseException) -> list[str]:
    """File, line and function of every frame and the kind of each error, the outermost first; no values."""
    lines = []
    one: BaseException | None = error
    while one is not None:
        lines.append(type(one).__name__)
        lines += [
            f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(one.__traceback__)
        ]
        one = one.__cause__ or one.__context__
    return lines
