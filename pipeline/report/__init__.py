"""`report`: what a chain believes, on one page that needs nothing else.

`write_report(layout, page, options)` and `build_page(layout, options)` in `build.py`; patches as PNG in `patches.py`;
the rules of galleries in `galleries.py`; a round's pseudo-labels as a data frame in `frames.py`.
"""
