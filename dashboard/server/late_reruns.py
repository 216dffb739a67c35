"""Parts of a page that ask to be drawn again once the page was left: Streamlit is kept from following them.

Parts redraw themselves by a clock (`run_every`). Such a request names the page on which the browser was when it was
sent, and may come between a click that leads to another page and that page. Streamlit 1.67 then goes wrong in two ways.
A whole page that waits to be drawn takes the older page's name from it, so the click is lost. And run after the new
page, it tells the browser of the old one, which clears everything: a blank page. Both are seen on a busy server only.
"""

from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData, ScriptRequests, ScriptRequestType


def drop_late_reruns() -> None:
    """Drop requests of parts whose page was left, or which is about to be drawn as a whole. Call it once, before the
    server starts."""
    run, ask = ScriptRunner._run_script, ScriptRequests._request_rerun_locked

    def run_unless_left(self: ScriptRunner, data: RerunData) -> None:
        if data.fragment_id_queue and data.page_script_hash != self._get_script_run_ctx().page_script_hash:
            return
        run(self, data)

    def ask_unless_drawn(self: ScriptRequests, data: RerunData) -> bool:
        waits = self._state is ScriptRequestType.RERUN and not self._rerun_data.fragment_id_queue
        if waits and data.is_auto_rerun and data.fragment_id:
            return True  # all of the page is drawn, and this part with it
        return ask(self, data)

    ScriptRunner._run_script = run_unless_left  # type: ignore[method-assign]
    ScriptRequests._request_rerun_locked = ask_unless_drawn  # type: ignore[method-assign]
