"""Commands on single runs: take results of runs that were trained elsewhere, give planned ones up."""

from engine.core.people import takes
from engine.studies import submissions
from store import studies
from store.database import Store


@takes("operator", "submit runs")
def submit_runs(store: Store, name: str, runs: list[dict], private: bool = False) -> dict:
    """Results of runs that were trained elsewhere: of planned runs, by `run`, or of others, by an `id` of the caller's
    own and their weights; with `samples`, what they answered item by item (private: none of its text is shown). The
    same run twice is one run."""
    return submissions.submit_runs(store, name, runs, private)


@takes("operator", "give up runs")
def give_up_runs(store: Store, name: str, runs: list[str]) -> dict:
    """Give up planned runs that an external trainer was to train: their results are refused until the study is
    resumed."""
    left = submissions.give_up(store, name, runs)
    return {"study": studies.get(store, name).id, "given_up": runs, "awaited": len(left)}


COMMANDS = (submit_runs, give_up_runs)
