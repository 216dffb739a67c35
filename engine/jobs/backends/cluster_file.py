"""`cluster.toml`: how jobs are asked for on a Slurm or Ray cluster. Typed, so that what no backend knows is refused.

    [slurm]
    partition = "gpu"
    gpu = "a100"                       # the type of a card, where there are several
    time_minutes = 240                 # a job whose time is up goes on from its checkpoint in the next one
    setup = ["module load cuda/12.4"]  # shell lines before the job

    [slurm.container]
    image = "/images/mixdesk.sqsh"

The file lies in the workspace, or where the worker's --cluster says.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.core.errors import Problem
from engine.core.records import Record
from engine.core.settings_text import text_of, toml

NAME = "cluster.toml"
RUNTIMES = ("pyxis", "apptainer")
DAY_MINUTES = 24 * 60
DASHBOARD = "http://127.0.0.1:8265"  # Ray's own default


@dataclass(frozen=True)
class Container(Record):
    """An image that jobs run in. runtime: pyxis (srun --container-image) or apptainer; mounts: "/from:/to" each."""

    image: str
    runtime: str = RUNTIMES[0]
    mounts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raises Problem for another runtime."""
        if self.runtime not in RUNTIMES:
            raise Problem(f"Cannot run containers by {self.runtime!r}: choose {' or '.join(RUNTIMES)}.")


@dataclass(frozen=True)
class SlurmOptions(Record):
    """The table [slurm].

    gpu: the type of a card (of --gpus-per-node); time_minutes: after which Slurm ends a job; grace_seconds: that a job
    has to keep a checkpoint before that; setup: shell lines before the job; options: any other option of sbatch, by its
    long name, such as {reservation = "lm"}.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    gpu: str = ""
    memory_gb: float = 0.0
    time_minutes: int = DAY_MINUTES
    grace_seconds: int = 90
    setup: list[str] = field(default_factory=list)
    container: Container | None = None
    options: dict[str, str | int | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises Problem for times that no job could use."""
        if not 0 < self.grace_seconds < 60 * self.time_minutes:
            raise Problem(
                f"Cannot use time_minutes = {self.time_minutes} with grace_seconds = {self.grace_seconds}: a job needs "
                "time before it is told to keep its checkpoint."
            )


@dataclass(frozen=True)
class RayOptions(Record):
    """The table [ray].

    address: of the cluster's dashboard; card_mb: memory of one card, so that small jobs share one; resources: custom
    resources that each job takes, such as {a100 = 0.001}; setup: shell lines before the job; image: of a container, by
    Ray's image_uri.
    """

    address: str = DASHBOARD
    card_mb: int = 0
    resources: dict[str, float] = field(default_factory=dict)
    setup: list[str] = field(default_factory=list)
    image: str = ""


@dataclass(frozen=True)
class ClusterFile(Record):
    """The whole file."""

    slurm: SlurmOptions = field(default_factory=SlurmOptions)
    ray: RayOptions = field(default_factory=RayOptions)


def read_cluster(root: Path, given: Path | None, table: Literal["slurm", "ray"]) -> ClusterFile:
    """The file of a worker's options, else that of the workspace at `root`, else the defaults. Raises Problem for what
    cannot be read, and for a file without the table of the backend that was asked for."""
    path = given or root / NAME
    if given is None and not path.exists():
        return ClusterFile()
    try:
        values = toml(text_of(path))
    except (OSError, ValueError) as error:
        raise Problem(f"Cannot read {path}: {error}.") from error
    found = ClusterFile.read(values, str(path))
    if table not in values:
        raise Problem(f"Cannot run jobs on {table} by {path}: it has no table [{table}].")
    return found
