"""Directories that one program at a time fills: where all lies in them, what was made from what, who holds them."""
