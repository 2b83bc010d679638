"""Whole slides: from a gigapixel file to patches at a stated resolution."""
