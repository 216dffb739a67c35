"""One colour per domain, the same on every chart."""

import colorsys

# Distinct for the colour-blind, equally strong on light and dark; neighbours in the list are far apart.
PALETTE = (
    "#d9480f",
    "#1c7ed6",
    "#2f9e44",
    "#ae3ec9",
    "#e8a10c",
    "#0c8599",
    "#e64980",
    "#6b7280",
    "#5c940d",
    "#7048e8",
    "#a0622d",
    "#15aabf",
)


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
