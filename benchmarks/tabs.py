"""A browser's side of a session, without the browser: the messages that a tab sends to Streamlit, and what it reads."""

import asyncio
import random
import time
from collections import defaultdict

import httpx
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect

WATCHING = "(looks whether somebody acted)"  # by the page itself, every second: no interaction of a person


class Tab:
    """One signed-in tab, without the browser: it sends what a browser sends, and reads what it is sent."""

    def __init__(self, url: str, who: str):
        self.url, self.who, self.query, self.page, self.pages = url, who, "", "", {}
        self.cookies, self.socket, self.seconds = {}, None, defaultdict(list)
        self.states: dict[str, dict] = {}  # of widgets, by their ids
        self.elements: list = []  # that the last run drew
        self.watched: dict[str, float] = {}  # fragments that the page wants drawn again, and every how many seconds

    async def sign_in(self) -> None:
        """As a person does: open the page, press the button, name oneself to the provider, come back."""
        async with httpx.AsyncClient(follow_redirects=True, timeout=60) as web:
            await web.get(f"{self.url}/_stcore/health")
            self.cookies = dict(web.cookies)
            await self.open()
            button = next(one for one in self.elements if one.WhichOneof("type") == "button")
            way = await self.ask({button.button.id: {"trigger_value": True}}, redirect=True)
            await self.socket.close()
            form = await web.get(self.url + way)
            await web.post(form.url, data={"sub": self.who})
            self.cookies = {cookie.name: cookie.value for cookie in web.cookies.jar}
        await self.open()

    async def open(self) -> None:
        token = self.cookies["_streamlit_xsrf"]
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.socket = await connect(
            self.url.replace("http", "ws") + "/_stcore/stream",
            subprotocols=["streamlit", token],
            origin=self.url,
            additional_headers={"Cookie": cookie},
            max_size=None,
            compression=None,
        )
        await self.ask({})

    async def ask(self, states: dict, redirect: bool = False, fragment: str = "") -> str | None:
        """Send one rerun, of the page or of a fragment, and read until the script has finished."""
        message = BackMsg()
        message.rerun_script.fragment_id, message.rerun_script.is_auto_rerun = fragment, bool(fragment)
        if not fragment:
            self.watched = {}
        client = message.rerun_script
        client.query_string, client.page_script_hash = self.query, self.pages.get(self.page, "")
        kept = {one: value for one, value in self.states.items() if one not in states}
        for one, value in {**kept, **states}.items():
            state = client.widget_states.widgets.add(id=one)
            for field, content in value.items():
                setattr(state, field, content)
        self.states |= {one: value for one, value in states.items() if "trigger_value" not in value}
        await self.socket.send(message.SerializeToString())
        return await self.read(redirect, whole=not fragment)

    async def read(self, redirect: bool, whole: bool) -> str | None:
        """Read to the end of the script's run, and of the next one where it asks for one."""
        self.way, self.refused, found = None, None, []
        async with asyncio.timeout(120):
            while True:
                told = ForwardMsg.FromString(await self.socket.recv())
                kind = told.WhichOneof("type")
                if kind == "delta" and told.delta.WhichOneof("type") == "new_element":
                    found.append(told.delta.new_element)
                elif kind == "script_finished" and told.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    found, whole = [], True
                elif kind == "script_finished":
                    break
                else:
                    self.hear(kind, told)
        wrong = [one.exception.message for one in found if one.WhichOneof("type") == "exception"]
        if wrong:
            raise RuntimeError(f"{self.who} on {self.page}: {wrong[0]}")
        if whole:
            self.elements = found
        return self.way if redirect else None

    def hear(self, kind: str, told: ForwardMsg) -> None:
        """What the page says beside what it draws."""
        if kind == "navigation":
            self.pages = {page.url_pathname: page.page_script_hash for page in told.navigation.app_pages}
        elif kind == "page_info_changed":
            self.query = told.page_info_changed.query_string
        elif kind == "auth_redirect":
            self.way = told.auth_redirect.url
        elif kind == "auto_rerun":
            self.watched[told.auto_rerun.fragment_id] = told.auto_rerun.interval

    async def idle(self, seconds: float) -> None:
        """Look at the page for a while: what it wants drawn again is asked for, as a browser does by itself."""
        until, due = time.monotonic() + seconds, {one: time.monotonic() + every for one, every in self.watched.items()}
        while due and min(due.values()) < until:
            fragment = min(due, key=due.get)
            await asyncio.sleep(max(0.0, due[fragment] - time.monotonic()))
            began = time.perf_counter()
            await self.ask({}, fragment=fragment)
            self.seconds[WATCHING].append(time.perf_counter() - began)
            due = {one: due.get(one, time.monotonic()) for one in self.watched}
            if fragment in due:
                due[fragment] = time.monotonic() + self.watched[fragment]
        await asyncio.sleep(max(0.0, until - time.monotonic()))

    async def timed(self, kind: str, states: dict) -> None:
        began = time.perf_counter()
        await self.ask(states)
        self.seconds[kind].append(time.perf_counter() - began)

    async def visit(self, page: str, study: str, candidate: str = "") -> None:
        """Choose a study by its name in the sidebar, and open a page."""
        box = next(one for one in self.all("selectbox") if one.label == "Study")
        self.page, self.states = page, {}
        self.query = f"candidate={candidate}" if candidate else ""
        await self.timed(f"open {page or 'studies'}", {box.id: {"string_value": study}})

    def all(self, kind: str) -> list:
        return [getattr(one, kind) for one in self.elements if one.WhichOneof("type") == kind]

    async def choose(self) -> None:
        """Change a select box or a row of pills of the page, as it comes."""
        boxes = [one for one in self.all("selectbox") if len(one.options) > 1 and not one.form_id and not one.disabled]
        if boxes:
            box = random.choice([one for one in boxes if one.label != "Study"] or boxes)
            await self.timed(f"choose: {box.label}", {box.id: {"string_value": random.choice(box.options)}})
