"""Commands about tokens of the HTTP API: create, list, revoke (docs/API.md)."""

from engine.cli.numbers import number_given
from engine.core.people import ROLES


def add(command) -> None:
    one = command("token", token, "make, list and revoke tokens of the HTTP API")
    what = one.add_subparsers(dest="what", required=True, metavar="create|list|revoke")
    make = what.add_parser("create", help="create a token that acts for you; it is shown once")
    make.set_defaults(makes=True)
    make.add_argument("label", help="what it is for")
    make.add_argument("--role", choices=ROLES, help="its role (default: yours); it never exceeds your permissions")
    make.add_argument("--days", type=number_given, default=90, help="days until it expires (default: %(default)s)")
    what.add_parser("list", help="list your tokens")
    what.add_parser("revoke", help="revoke a token immediately").add_argument("token", help="its id")


def token(client, workspace, options):
    if options.what == "create":
        return client.call("create_token", label=options.label, role=options.role, days=options.days)
    if options.what == "revoke":
        return client.call("revoke_token", token=options.token)
    return client.call("list_tokens")
