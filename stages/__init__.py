"""Typed files in, typed files out: train, predict, select, promote."""
