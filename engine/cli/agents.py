"""Tools for agents: commands as tools of the Model Context Protocol, over standard input and output.

`mixdesk mcp` serves the workspace of this machine, `mixdesk mcp --url` a Mixdesk elsewhere with the token in
$MIXDESK_TOKEN; who the token is of, and so what may be done, is decided there. Tools only look unless --write is given.
"""

import asyncio
import json
import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

from engine import VERSION
from engine.commands import COMMANDS, READ_ONLY, SECRET, contract
from engine.commands.client import Remote, connect
from engine.core.errors import Problem
from engine.core.workspace import Workspace

if TYPE_CHECKING:
    from mcp_types import CallToolResult, Tool

TOKEN = "MIXDESK_TOKEN"
LONGEST = 200_000  # letters of an answer: more fills an agent's memory and tells it nothing
ABOUT = (
    "Mixdesk explores data mixtures and model merges: studies hold runs, a surrogate predicts losses from shares or "
    "coefficients, searches propose points, people review candidates. Begin with list_studies, then show. Every "
    "prediction has a standard deviation: differences within noise do not count."
)


def add(command) -> None:
    one = command("mcp", serve, "serve the commands as tools for an agent, by the Model Context Protocol")
    one.add_argument("--write", action="store_true", help="also offer the commands that change something")
    one.add_argument("--url", help=f"of a Mixdesk elsewhere; its token is taken from ${TOKEN}")
    one.set_defaults(alone=True)


def serve(client, workspace, options) -> None:
    """Serve until the agent hangs up. Raises Problem where the package mcp is missing, or a token."""
    try:
        from mcp.server.lowlevel import Server
        from mcp.server.stdio import stdio_server
        from mcp_types import ListToolsResult
    except ImportError as error:
        raise Problem(
            "Cannot serve agents: the package mcp is not installed. Install it: pip install -r requirements-agents.txt"
        ) from error
    token = os.environ.get(TOKEN)
    if options.url and not token:
        raise Problem(f"Cannot ask {options.url}: put a token of that Mixdesk (page *API tokens*) into ${TOKEN}.")
    there = None if options.url else Workspace.there(options.workspace)
    names = offered(options.write)

    async def list_tools(context, params) -> ListToolsResult:
        return ListToolsResult(tools=[tool_of(name) for name in names])

    async def call_tool(context, params) -> "CallToolResult":
        reach = (there, options.url, token)
        return await asyncio.to_thread(answer, reach, names, params.name, dict(params.arguments or {}))

    async def run() -> None:
        about = {"version": VERSION, "instructions": ABOUT}
        server = Server("mixdesk", on_list_tools=list_tools, on_call_tool=call_tool, **about)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    asyncio.run(run())


def offered(write: bool) -> list[str]:
    """The commands that are tools: those that only look, or all but the ones whose answer is a secret."""
    return [name for name in COMMANDS if name not in SECRET and (write or name in READ_ONLY)]


def tool_of(name: str) -> "Tool":
    """A command as a tool: its docstring, and its arguments as a JSON schema."""
    from mcp_types import Tool, ToolAnnotations

    looks = name in READ_ONLY
    return Tool(
        name=name,
        description=" ".join((COMMANDS[name].__doc__ or "").split()),
        inputSchema=contract.model_of(name).model_json_schema(),
        annotations=ToolAnnotations(readOnlyHint=looks, destructiveHint=not looks),
    )


def answer(reach: tuple, names: list[str], name: str, arguments: dict[str, Any]) -> "CallToolResult":
    """What a tool gives, as JSON, or the sentence that says what is wrong. reach: the workspace, or a url and token."""
    from mcp_types import CallToolResult, TextContent

    try:
        if name in COMMANDS and name not in names and name not in SECRET:
            raise Problem(f"Cannot call {name}: it changes something, and this server only looks (--write).")
        if name not in names:
            raise Problem(f"There is no tool {name!r}.")
        text, wrong = json.dumps(ask(reach, name, arguments), ensure_ascii=False), False
        if len(text) > LONGEST:
            raise Problem(f"The answer of {name} has {len(text):,} letters, over {LONGEST:,}: ask for less at once.")
    except Problem as problem:
        text, wrong = str(problem), True
    return CallToolResult(content=[TextContent(type="text", text=text)], isError=wrong)


def ask(reach: tuple, name: str, arguments: dict[str, Any]) -> Any:
    """The result of a command, with its arguments checked as the API checks them. The workspace is held only for as
    long as one command takes, so the page can start meanwhile."""
    workspace, url, token = reach
    if url:
        return Remote(url, token).call(name, **arguments)
    with closing(connect(workspace)) as client:
        if isinstance(client, Remote):
            return client.call(name, **arguments)
        return contract.call(client.owner.store, name, arguments)
