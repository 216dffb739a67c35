"""The door for agents, asked by the protocol's own client: tools, answers, refusals."""

import asyncio
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec  # every process of the tests reads this file: importing takes a second

import pytest

from engine.commands import COMMANDS, READ_ONLY
from tests.support.running import ROOT, Page, answer, copied, said

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("mcp") is None, reason="needs requirements-agents.txt")]


def talk(*arguments: str, ask, **environment: str):
    """What a session with `mixdesk mcp` gives."""
    from mcp import ClientSession, StdioServerParameters, stdio_client

    command = [sys.executable, "-m", "engine", "mcp", *arguments]
    place = {"cwd": str(ROOT), "env": {**os.environ, **environment}}

    async def session():
        async with (
            # by default it takes what standard error was where it was imported: in a test that reads it, no file
            stdio_client(StdioServerParameters(command=command[0], args=command[1:], **place), sys.__stderr__) as ends,
            ClientSession(*ends) as client,
        ):
            await client.initialize()
            return await ask(client)

    with ThreadPoolExecutor(1) as alone:  # a browser of other tests may have a loop in this thread
        return alone.submit(asyncio.run, session()).result()


async def called(client, tool: str, /, **arguments) -> tuple[bool, str]:
    found = await client.call_tool(tool, arguments)
    return found.is_error, found.content[0].text


def test_an_agent_looks(finished, tmp_path):
    workspace = copied(finished, tmp_path / "w")

    async def ask(client):
        tools = {one.name: one for one in (await client.list_tools()).tools}
        wrong, studies = await called(client, "list_studies")
        study = json.loads(studies)[0]["study"]
        even = {name: 1 / 3 for name in ("python", "prose", "digits")}
        return (
            tools,
            wrong,
            study,
            [
                await called(client, "show", name=study),
                await called(client, "predict", name=study, weights=[even]),
                await called(client, "show", name="nothing"),
                await called(client, "show", name=study, nome=study),
                await called(client, "cancel", name=study),
                await called(client, "rm_rf"),
            ],
        )

    tools, wrong, study, found = talk("--workspace", str(workspace), ask=ask)
    assert set(tools) == set(READ_ONLY) and not wrong
    assert tools["predict"].input_schema["properties"].keys() >= {"name", "weights", "surrogate"}
    assert "Predicted metrics" in tools["predict"].description and tools["show"].annotations.read_only_hint
    shown, predicted, unknown, misspelt, refused, none = found
    assert not shown[0] and json.loads(shown[1])["study"] == study
    assert not predicted[0] and json.loads(predicted[1])[0]["python"]["std"]
    assert unknown[0] and "nothing" in unknown[1]
    assert misspelt[0] and "nome" in misspelt[1]
    assert refused[0] and "only" in refused[1]
    assert none == (True, "There is no tool 'rm_rf'.")


def test_an_agent_acts_where_it_may(finished, tmp_path):
    workspace = copied(finished, tmp_path / "w")
    page = Page(workspace)
    try:
        study = answer(workspace, "list")[0]["study"]
        token = answer(workspace, "token", "create", "agent", "--role", "viewer")["secret"]
        wish = {"name": study, "called": "by an agent", "rationale": "tried", "candidate": "natural"}

        async def ask(client):
            names = {one.name for one in (await client.list_tools()).tools}
            return names, await called(client, "nominate", **wish)

        names, (wrong, made) = talk("--write", "--workspace", str(workspace), ask=ask)
        assert names == set(COMMANDS) - {"create_token"} and not wrong and json.loads(made)["candidate"]
        _, (wrong, text) = talk("--write", "--url", page.url, ask=ask, MIXDESK_TOKEN=token)
        assert wrong and "takes the role reviewer" in text
        assert "MIXDESK_TOKEN" in said(workspace, "mcp", "--url", page.url)
    finally:
        page.stop()
