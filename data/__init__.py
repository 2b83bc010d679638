"""Patches and pixels, from slides, volumes and sources of patches to the patch store, splits and noise.

Knows nothing of training.
"""
