"""Inputs in, units of patches out: the process that makes them, and what is drawn of them."""
