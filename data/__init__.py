"""Patches and pixels: readers, the patch store, labels, splits, augmentation. Knows nothing of training."""
