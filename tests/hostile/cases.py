"""All hostile cases, by what is attacked."""

from tests.hostile import arrays, checkpoints, configurations, images, names, paths, rundirs, scans  # noqa: F401
