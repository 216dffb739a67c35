"""Commands about the fidelity lab of a study."""

from engine.cli.numbers import number_given, whole_given
from engine.cli.waiting import beside, wait_for_study, waited
from engine.spec.lab import CHANGES, FEWEST


def add(command) -> None:
    said = "which cheaper proxies rank mixtures as larger ones do"
    one = command("fidelity-lab", lab, said, study=True, wait=True)
    one.add_argument("--plan", action="store_true", help="say what it would train and cost, and train nothing")
    one.add_argument("--start", action="store_true", help="train what is missing")
    one.add_argument(
        "--fidelity", action="append", default=[], choices=list(CHANGES), help="only these; repeat (default: all)"
    )
    one.add_argument("--mixtures", type=whole_given, default=FEWEST, help="spread mixtures (default: %(default)s)")
    one.add_argument(
        "--times",
        type=number_given,
        default=2,
        help="weights and tokens of the reference, in a proxy's (default: %(default)g)",
    )
    one.add_argument("--take", metavar="FIDELITY", help="start a study like this one with proxies of that fidelity")


def lab(client, workspace, options):
    """What there is; with an option, plan, begin or take."""
    if options.take:
        begun = client.call("take_fidelity", name=options.study, fidelity=options.take)
        return beside(begun, wait_for_study(client, workspace, begun["study"])) if options.wait else begun
    wanted = {"fidelities": options.fidelity or None, "mixtures": options.mixtures, "times": options.times}
    if options.plan:
        return client.call("plan_fidelity_lab", name=options.study, **wanted)
    if options.start:
        asked = client.call("start_fidelity_lab", name=options.study, **wanted)
        if not options.wait:
            return asked
        waited(client, workspace, [one["job"] for one in asked["jobs"]])
    return client.call("fidelity_lab", name=options.study)
