"""The table of surrogates, and how a fitted one is saved. A new surrogate is one file here and one line in
the table.
"""

from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.core.files import replacing
from engine.core.system import DAMAGED
from engine.space.box import Box
from engine.surrogates.around_law import AroundLaw
from engine.surrogates.base import Surrogate
from engine.surrogates.bimix import BiMix
from engine.surrogates.bradley_terry import BradleyTerry
from engine.surrogates.epochs import Epochs
from engine.surrogates.evidential import Evidential
from engine.surrogates.extra_trees import ExtraTrees
from engine.surrogates.gp import GP
from engine.surrogates.gp_rational import RationalGP
from engine.surrogates.hl_gauss import HLGauss
from engine.surrogates.in_context.surrogate import InContext
from engine.surrogates.lambdarank import LambdaRank
from engine.surrogates.lasso import Lasso
from engine.surrogates.lightgbm import LightGBM
from engine.surrogates.lightgbm_linear import LightGBMLinear
from engine.surrogates.linear import Linear
from engine.surrogates.log_linear import LogLinear
from engine.surrogates.on_box import OnBox
from engine.surrogates.own_share import OwnShare
from engine.surrogates.power_law import PowerLaw
from engine.surrogates.returns import Returns
from engine.surrogates.ridge import Ridge
from engine.surrogates.stack import Stack

SURROGATES: dict[str, type[Surrogate]] = {
    "own_share": OwnShare,
    "linear": Linear,
    "log_linear": LogLinear,
    "power_law": PowerLaw,
    "bimix": BiMix,
    "returns": Returns,
    "epochs": Epochs,
    "lasso": Lasso,
    "ridge": Ridge,
    "gp_rational": RationalGP,
    "gp": GP,
    "around_law": AroundLaw,
    "in_context": InContext,
    "hl_gauss": HLGauss,
    "evidential": Evidential,
    "bradley_terry": BradleyTerry,
    "lightgbm": LightGBM,
    "lightgbm_linear": LightGBMLinear,
    "lambdarank": LambdaRank,
    "extra_trees": ExtraTrees,
    "stack": Stack,
}
VERSION = 1  # of the file's layout
NAMES = {kind: name for name, kind in SURROGATES.items()}


def title_of(name: str) -> str:
    """What a surrogate is called; the name itself where this version does not know it."""
    return SURROGATES[name].title if name in SURROGATES else name


def save(surrogate: Surrogate, path: Path, box: Box | None = None) -> None:
    """Write a fitted surrogate as an npz without pickles, atomically.

    box: for one fitted to merge coefficients, as `Box.features` encodes them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    around = {} if box is None else {"_names": np.array(box.names), "_lower": box.lower, "_upper": box.upper}
    with replacing(path) as part, open(part, "wb") as file:
        np.savez_compressed(file, _surrogate=NAMES[type(surrogate)], _version=VERSION, **surrogate.arrays(), **around)


def load(path: Path) -> Surrogate:
    """Read a surrogate that `save` wrote. Raises Problem if the file is invalid, or from another version."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        name, version = str(arrays.pop("_surrogate")), int(arrays.pop("_version"))
        if version != VERSION:
            raise ValueError(f"it has version {version}, this Mixdesk reads {VERSION}")
        around = [arrays.pop(key) for key in ("_names", "_lower", "_upper") if key in arrays]
        found = SURROGATES[name].from_arrays(arrays)
        return OnBox.around(found, Box(tuple(map(str, around[0])), *around[1:])) if around else found
    except DAMAGED as error:
        raise Problem(f"Cannot read the surrogate {path.name}: {error}. Fit it again from its runs.") from error
