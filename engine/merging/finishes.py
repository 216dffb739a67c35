"""What is done to merged values after the method: the finish that a merge file asks for."""

from engine.merging.config import MergeConfig
from engine.merging.methods import Tensors
from engine.merging.methods.base import ChunkFn
from engine.merging.methods.svc import calibrated

BYTES = 24  # that a finish holds per element of a matrix


def finished(config: MergeConfig, x: Tensors, at: ChunkFn) -> ChunkFn:
    """The method's values, calibrated if the file says `svc`."""
    return at if config.svc is None else calibrated(x, at, config.svc)
