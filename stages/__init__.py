"""Typed files in, typed files out: ingest, split, train, predict, select, promote, and what they are made of."""
