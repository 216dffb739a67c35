"""The client of a command that owns the workspace itself, as no page runs."""

from typing import TYPE_CHECKING

from engine.commands import COMMANDS
from engine.core.workspace import Workspace
from engine.service.owner import Owner

if TYPE_CHECKING:
    from engine.commands.endpoint import Endpoint


class Local:
    """Owns the workspace for as long as the command runs."""

    def __init__(self, workspace: Workspace):
        self.owner = Owner(workspace)

    def call(self, command: str, /, **arguments):
        return COMMANDS[command](self.owner.store, **arguments)

    def open_endpoint(self) -> "Endpoint":
        """While this command waits, others look and act through it."""
        from engine.commands.endpoint import Endpoint  # only commands that wait need it

        return Endpoint(self.owner.workspace, self.owner.store)

    def close(self) -> None:
        self.owner.close()
