"""From the bytes of a patch to its pixels, and what of them a network is given."""
