"""One colour per domain, the same on every chart."""

import colorsys

# Okabe and Ito's colours (jfly.uni-koeln.de/color), the strongest on both grounds first; grey in place of their
# yellow, which is lost on a light page, and of their black, lost on a dark one. Beyond these eye and chart need names.
PALETTE = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#7a7f87",
    "#7048e8",
    "#5c940d",
    "#a0622d",
)

GROUP = "#8a8279"  # of a group of domains


def colour_of(domains: list[str], metrics: list[str] = ()) -> dict[str, str]:
    """The colour of each domain, by its place in the corpus; a metric that is not a domain's loss has its own."""
    return {name: nth_colour(i) for i, name in enumerate(dict.fromkeys([*domains, *metrics]))}


def nth_colour(place: int) -> str:
    """The palette, and beyond it hues a golden angle apart in turns of light and dark."""
    if place < len(PALETTE):
        return PALETTE[place]
    beyond = place - len(PALETTE)
    lightness, saturation = ((0.36, 0.55), (0.66, 0.5), (0.5, 0.3))[beyond % 3]
    red, green, blue = colorsys.hls_to_rgb((0.03 + 0.618034 * beyond) % 1, lightness, saturation)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
