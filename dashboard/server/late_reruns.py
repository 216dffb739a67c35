"""Parts of a page that ask to be drawn again once the page was left: Streamlit is kept from following them.

Parts redraw themselves by a clock (`run_every`). Such a request names the page on which the browser was when it was
sent, and may come between a click that leads to another page and that page. Streamlit 1.67 then goes wrong in two ways.
A whole page that waits to be drawn takes the older page's name from it, so the click is lost. And run after the new
page, it tells the browser of the old one, which clears everything: a blank page. Both are seen on a busy server only.
"""

from dataclasses import replace

from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData, ScriptRequests, ScriptRequestType


def drop_late_reruns() -> None:
    """Drop requests of parts whose page was left; where a whole page waits to be drawn, it stays the one. Call it once,
    before the server starts."""
    run, ask = ScriptRunner._run_script, ScriptRequests._request_rerun_locked

    def run_unless_left(self: ScriptRunner, data: RerunData) -> None:
        if data.fragment_id_queue and data.page_script_hash != self._get_script_run_ctx().page_script_hash:
            return
        run(self, data)

    def ask_for_the_page_that_waits(self: ScriptRequests, data: RerunData) -> bool:
        waits = self._rerun_data
        if self._state is ScriptRequestType.RERUN and not waits.fragment_id_queue and data.is_auto_rerun:
            data = replace(
                data,
                page_script_hash=waits.page_script_hash,
                page_name=waits.page_name,
                query_string=waits.query_string,
            )
        return ask(self, data)

    ScriptRunner._run_script = run_unless_left  # type: ignore[method-assign]
    ScriptRequests._request_rerun_locked = ask_for_the_page_that_waits  # type: ignore[method-assign]
