"""Commands about rivals of a study's answer."""

from engine.cli.waiting import waited
from engine.spec.rivals import RIVALS


def add(command) -> None:
    said = "methods that find a mixture from no further run, one or two, and what the study's runs bought beside them"
    one = command("rivals", rivals, said, study=True, wait=True)
    one.add_argument("--find", action="store_true", help="find the mixtures")
    one.add_argument(
        "--method", action="append", default=[], choices=list(RIVALS), help="only these; repeat (default: all)"
    )


def rivals(client, workspace, options):
    """What there is; with --find, begin what is missing."""
    if not options.find:
        return client.call("list_rivals", name=options.study)
    asked = client.call("find_rivals", name=options.study, methods=options.method or None)
    if not options.wait:
        return asked
    waited(client, workspace, [one["job"] for one in asked["jobs"]])
    return client.call("list_rivals", name=options.study)
