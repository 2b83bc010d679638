"""Weak and strong noise for patches: what it is (noise.py), how it is drawn (pipeline.py), stain (stain.py)."""
