"""Noise for patches and what stain they took.

What noise is (noise.py), how it is drawn on colour and grey (pipeline.py) and on CT (ct.py), and what was drawn, apart
from the pixels (drawn.py); one file each for what albumentations has not, or slower: composition.py, warp.py, grain.py;
stain jitter (stain.py) and stain normalisation (macenko.py).
"""
