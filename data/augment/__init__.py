"""Noise for patches and what stain they took.

What noise is (noise.py), how it is drawn on colour and grey (pipeline.py) and on CT (ct.py); stain jitter (stain.py)
and stain normalisation (macenko.py).
"""
