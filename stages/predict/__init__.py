"""Predict: the probabilities of every pool, validation and test patch, written once."""
