"""What a browser's tab keeps over a reload of the page, which ends its session: its name here, and whom it follows."""

from collections.abc import Callable

from dashboard.components import component

KEY = "tab"  # in the session: {"kept": {"name", "following"}}, once a tab had kept anything else than it is given


def keep(session: str, name: str, following: str | None, on_kept: Callable[[], None]) -> None:
    """Keep both; on_kept: called in a new session whose tab kept others."""
    data = {"session": session, "name": name, "following": following}
    component("tab")(key=KEY, data=data, on_kept_change=on_kept)
