"""Commands on imported runs: import, preview, predict."""

from engine.core.people import takes
from engine.studies import imports, sizes
from store import studies
from store.database import Store


@takes("operator", "import runs")
def import_runs(store: Store, name: str, format: str, weights: str, metrics: str | None = None, **options) -> dict:
    """Make a study of runs in files of the workspace's imports folder (options: engine.studies.imports)."""
    return imports.import_runs(store, name, format, weights, metrics, **options)


def preview_import(store: Store, format: str, weights: str, metrics: str | None = None, **columns) -> dict:
    """Dry run of an import: guessed columns, notes or the refusal, first rows."""
    return imports.preview(store, format, weights, metrics, **columns)


def fitted(store: Store, name: str, surrogate: str | None = None) -> dict:
    """Where a study's fitted surrogate lies in the workspace, and what its columns are called."""
    return imports.fitted(store, name, surrogate)


def predict(
    store: Store,
    name: str,
    weights: list[dict],
    surrogate: str | None = None,
    parameters: float | None = None,
    tokens: float | None = None,
) -> list[dict]:
    """Predicted metrics (mean, std, place) of a few mixtures {domain: share}, at the study's size or another."""
    return imports.predict(store, name, weights, surrogate, parameters, tokens)


def list_sizes(store: Store, name: str, parameters: float | None = None, tokens: float | None = None) -> dict:
    """How many runs stand at each size, and what to know of them, or of predictions at the named size."""
    return sizes.summary(store, studies.get(store, name), parameters, tokens)


COMMANDS = (
    import_runs,
    preview_import,
    fitted,
    predict,
    list_sizes,
)
