"""Colours of classes: one list for the page and for GeoJSON, to be told apart on tissue, on white and on black.

After Okabe and Ito (2008), with mid tones in place of black so that they hold in both colour schemes,
and without its pink, which is the colour of the tissue.
"""

COLOURS = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (86, 180, 233), (230, 159, 0), (150, 180, 30), (181, 48, 79),
    (139, 95, 191), (150, 105, 40), (128, 136, 144),
)  # fmt: skip
# from little to much, for confidence and for rounds
STEPS = ((158, 154, 200), (107, 131, 190), (49, 130, 160), (44, 150, 110), (150, 170, 40))


def colour_class(code: int) -> str:
    """The CSS class of a class, or of any other category, by its number."""
    return f"c{code % len(COLOURS)}"


def css() -> str:
    """Rules that give each CSS class its colour as --own."""
    rules = [f".c{i}{{--own:rgb{colour}}}" for i, colour in enumerate(COLOURS)]
    rules += [f".q{i}{{--own:rgb{colour}}}" for i, colour in enumerate(STEPS)]
    return "\n".join(rule.replace(" ", "") for rule in rules)
