"""Whole-slide image files: opened once, read at a stated resolution, thread by thread."""
