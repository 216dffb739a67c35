"""The table of merge methods. A new method is one file here and one line in the table."""

from engine.merge_methods import (
    breadcrumbs,
    breadcrumbs_row,
    dare,
    della,
    iso_c,
    karcher,
    linear,
    magmax,
    model_stock,
    multislerp,
    nearswap,
    nuslerp,
    sce,
    slerp,
    task_arithmetic,
    ties,
    tsv_m,
)
from engine.merge_methods.base import Method, Tensors

METHODS: dict[str, Method] = {
    "linear": linear.METHOD,
    "slerp": slerp.METHOD,
    "nuslerp": nuslerp.METHOD,
    "multislerp": multislerp.METHOD,
    "karcher": karcher.METHOD,
    "model_stock": model_stock.METHOD,
    "nearswap": nearswap.METHOD,
    "task_arithmetic": task_arithmetic.METHOD,
    "ties": ties.METHOD,
    "dare_linear": dare.LINEAR,
    "dare_ties": dare.TIES,
    "dare_linear_paper": dare.LINEAR_PAPER,
    "dare_ties_paper": dare.TIES_PAPER,
    "della": della.TIES,
    "della_linear": della.LINEAR,
    "breadcrumbs": breadcrumbs.METHOD,
    "breadcrumbs_ties": breadcrumbs.TIES,
    "breadcrumbs_row": breadcrumbs_row.METHOD,
    "sce": sce.METHOD,
    "magmax": magmax.METHOD,
    "iso_c": iso_c.METHOD,
    "tsv_m": tsv_m.METHOD,
}

__all__ = ["METHODS", "Method", "Tensors"]
