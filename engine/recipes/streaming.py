"""MosaicML Streaming as Python: a Stream per domain with its proportion of the samples."""

from engine.recipes.base import Files, Format, Recipe, comment, quoted
from engine.recipes.litgpt import assigned
from engine.recipes.rules import BLENDED

CODE = """

def train_dataset(root: str, samples: int, **options) -> StreamingDataset:
    used = {place: share for place, share in PROPORTIONS.items() if share > 0}
    streams = [Stream(local=f"{root}/{place}", proportion=share) for place, share in used.items()]
    return StreamingDataset(streams=streams, epoch_size=samples, **options)
"""


def write(recipe: Recipe) -> Files:
    rows = zip(recipe.places, recipe.shares, strict=True)
    shares = "".join(f"    {quoted(place)}: {share:.9f},\n" for place, share in rows)
    return {
        "streaming_mixture.py": f"{comment(recipe)}from streaming import Stream, StreamingDataset\n\n"
        f"PROPORTIONS = {{  # of samples: of tokens, where all samples are packed to one length\n{shares}}}\n{CODE}"
    }


def read(files: Files) -> dict[str, float]:
    return assigned(files["streaming_mixture.py"], "PROPORTIONS")


FORMAT = Format(
    "MosaicML Streaming (Python)",
    write,
    read,
    "samples packed to one length, so tokens",
    "places",
    checked="by mosaicml-streaming's own loader",
    rule=BLENDED,
)
