"""Drawn H&E-like patches, slides and chest CT, each from its seed alone, and folders of them as users have them."""
