"""The pages: each is one file and one row here; page.py makes the navigation from these rows."""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

ANY, MIXTURE, MERGE = "any", "mixture", "merge"  # the kinds of study that a page is for


class Page(NamedTuple):
    """A page. icon: of Material Symbols; path: in the link; kind: ANY, MIXTURE or MERGE (a path may have a row for
    each); view: "module:function" under dashboard.views, called with the chosen study's id, None where there is none.
    """

    section: str
    title: str
    icon: str
    path: str
    kind: str
    view: str

    def function(self) -> Callable[[str | None], None]:
        """The function that draws the page."""
        module, name = self.view.split(":")
        return getattr(import_module(f"{__name__}.{module}"), name)


PAGES = (
    Page("Measure", "Studies", "experiment", "studies", ANY, "measure.studies:render"),
    Page("Measure", "Corpus", "library_books", "corpus", ANY, "measure.corpus:render"),
    Page("Measure", "Tasks", "quiz", "tasks", ANY, "measure.tasks:render"),
    Page("Measure", "Import", "upload_file", "import", ANY, "measure.importing:render"),
    Page("Measure", "Runs", "timeline", "runs", ANY, "measure.runs:render"),
    Page("Measure", "Jobs", "memory", "jobs", ANY, "measure.jobs:render"),
    Page("Understand", "Explore", "instant_mix", "explore", MIXTURE, "understand.explore:render"),
    Page("Understand", "Explore", "instant_mix", "explore", MERGE, "merges.explore:render"),
    Page("Understand", "Influence", "hub", "influence", MIXTURE, "understand.influence:render"),
    Page("Understand", "Leaderboard", "leaderboard", "leaderboard", ANY, "understand.leaderboard:render"),
    Page("Understand", "Search", "travel_explore", "search", MIXTURE, "understand.search:render"),
    Page("Understand", "Search", "travel_explore", "search", MERGE, "merges.search:render"),
    Page("Understand", "Phases", "timelapse", "phases", MIXTURE, "understand.phases:render"),
    Page("Understand", "Next runs", "next_plan", "next-runs", MIXTURE, "understand.next_runs:render"),
    Page("Understand", "Confirm", "verified", "confirm", MIXTURE, "understand.confirm:render"),
    Page("Understand", "Fidelity lab", "science", "fidelity-lab", MIXTURE, "understand.fidelity_lab:render"),
    Page("Understand", "Ledger", "menu_book", "ledger", ANY, "understand.ledger:render"),
    Page("Decide", "Candidates", "how_to_vote", "candidates", ANY, "decide.candidates:render"),
    Page("Decide", "Review", "co_present", "review", ANY, "decide.review:render"),
    Page("Decide", "Inbox", "inbox", "inbox", ANY, "decide.inbox:render"),
    Page("Decide", "Export", "ios_share", "export", ANY, "decide.export:render"),
    Page("Settings", "API tokens", "key", "tokens", ANY, "account.tokens:render"),
)
FORMER = {"league": "leaderboard"}  # paths of old links -> where they lead today


def pages_for(kind: str) -> dict[str, Page]:
    """Path -> its page for studies of one kind, or that of another kind where it has none for this one."""
    found = {}
    for page in PAGES:
        if page.path not in found or page.kind in (ANY, kind):
            found[page.path] = page
    return found
