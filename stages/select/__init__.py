"""Cheap decisions on expensive facts: which pool patches to keep, as what, with what weight."""
