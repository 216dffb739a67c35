"""Commands about rounds: trade-offs, targets, next runs, confirmations, scale, new sources, changed domains."""

from engine.cli.numbers import number_given, whole_given
from engine.cli.waiting import beside, wait_for_study, waited
from engine.cli.words import limit_option, numbers, pairs, phase_option, phases, plain, priorities, priority_option
from engine.core.errors import Problem
from engine.spec.rivals import RIVALS


def add(command) -> None:
    one = command("trade-off", trade_off, "the Pareto front (sampled) between two or three metrics", study=True)
    one.add_argument("--metric", action="append", required=True, help="two or three of the study's metrics; repeat")
    limit_option(one)
    said = "what reading each domain more often is predicted to do, and how often is worth it"
    one = command("repetition", repetition, said, study=True)
    one.add_argument("--tokens", type=number_given, help="of the real run (default: the study's target budget)")
    one.add_argument("--candidate", help="at whose mixture, as in export (default: the best predicted)")
    said = "whether the order of a study's phases matters, and the best schedule"
    one = command("phases", of_phases, said, study=True)
    phase_option(one, "the shares of one phase, to predict as well")
    priority_option(one)
    said = "what runs in training are predicted to measure at their end, from their curves so far"
    priority_option(command("curves", curves, said, study=True))
    said = "what training from a study's saved proxy is predicted to change, metric by metric"
    priority_option(command("since-start", since_start, said, study=True))
    said = "mixtures predicted to meet target losses or scores"
    one = command("targets", targets, said, study=True, aliases=("wish",))
    one.add_argument("--limit", action="append", required=True, metavar="METRIC=VALUE", help="repeat for more")
    one.add_argument("--most", type=whole_given, default=10, help="mixtures to show (default: %(default)s)")
    propose_options(command("propose", propose, "the runs worth training next, with their expected gain", True, True))
    confirm_options(command("confirm", confirm, "confirm with several seeds, next to the baselines", True, True))
    one = command("ledger", ledger, "predictions registered before their runs were measured, and the results")
    one.add_argument("study", metavar="STUDY", nargs="?", help="the study's id or name (default: all studies)")
    one = command("trust", trust, "how well proxies predict the larger models", study=True)
    one.add_argument("--surrogate", help="whose predictions (default: the best on the leaderboard)")
    command(
        "scale", plain("scale"), "ways to extrapolate over shares and size, checked at the largest size", study=True
    )
    said = "price a source of text before any proxy has seen it"
    source_options(command("value-source", value_source, said, study=True))
    said = "which sizes to buy further runs at, by information per FLOP about the choice at a target"
    plan_options(command("plan-runs", plan_runs, said, study=True))
    change_options(command("change", change, "preview a study with changed domains", True, True))


def propose_options(one) -> None:
    from engine.search.acquisition import PROPOSERS

    one.add_argument("--by", choices=list(PROPOSERS), default="improvement", help="default: %(default)s")
    one.add_argument("--count", type=whole_given, default=8, help="runs (default: %(default)s)")
    one.add_argument("--surrogate", help="default: the best on the leaderboard")
    priority_option(one)
    one.add_argument("--start", action="store_true", help="wait for it, then train its runs")


def confirm_options(one) -> None:
    """What a confirmation takes."""
    one.add_argument("--candidate", default="best", help="as in export (default: %(default)s)")
    one.add_argument(
        "--times",
        type=number_given,
        default=4,
        help="multiple of a proxy's parameters and tokens (default: %(default)g)",
    )
    one.add_argument("--seeds", type=whole_given, default=3, help="runs per mixture (default: %(default)s)")
    one.add_argument(
        "--spread",
        type=whole_given,
        default=4,
        help="number of other measured mixtures to train as well (default: %(default)s)",
    )
    said = "train the mixture that this method found (command rivals), too; repeat"
    one.add_argument("--rival", action="append", default=[], choices=list(RIVALS), help=said)
    said = "say what it would train and which claims it can make, and train nothing"
    one.add_argument("--preview", action="store_true", help=said)


def source_options(one) -> None:
    from engine.studies.source_value import SHARE

    one.add_argument("--corpus", required=True, help="a built corpus")
    one.add_argument("--domain", required=True, help="one of its domains")
    one.add_argument(
        "--share", type=number_given, default=SHARE, help="of its text in the mixture (default: %(default)g)"
    )
    one.add_argument("--candidate", help="the mixture it joins, as in export (default: the first baseline)")
    priority_option(one)


def plan_options(one) -> None:
    one.add_argument("--parameters", type=number_given, required=True, metavar="N", help="of the model at the target")
    one.add_argument("--tokens", type=number_given, required=True, metavar="T", help="that it trains on")
    one.add_argument("--flops", type=number_given, required=True, help="budget of all further runs; a run takes 6 N T")
    priority_option(one)


def change_options(one) -> None:
    one.add_argument("--corpus", required=True, help="a built corpus with the new domains")
    one.add_argument("--into", action="append", default=[], metavar="OLD=NEW:PART,...", help="a split domain; repeat")
    one.add_argument("--remove", action="append", default=[], metavar="OLD", help="removed or replaced; repeat")
    one.add_argument("--name", help="name of the new study")
    one.add_argument("--start", action="store_true", help="create the study and train its new runs")


def trade_off(client, workspace, options):
    limits = numbers(options.limit) or None
    return client.call("trade_off", name=options.study, metrics=options.metric, limits=limits)


def repetition(client, workspace, options):
    return client.call("repetition", name=options.study, tokens=options.tokens, candidate=options.candidate)


def of_phases(client, workspace, options):
    return client.call("phases", name=options.study, schedule=phases(options), priorities=priorities(options))


def since_start(client, workspace, options):
    return client.call("since_start", name=options.study, priorities=priorities(options))


def curves(client, workspace, options):
    return client.call("curves", name=options.study, priorities=priorities(options))


def targets(client, workspace, options):
    return client.call("targets", name=options.study, limits=numbers(options.limit), most=options.most)


def propose(client, workspace, options):
    """Propose the next runs, and with --start train them."""
    wanted = {key: getattr(options, key) for key in ("count", "surrogate")}
    wanted |= {"proposer": options.by, "priorities": priorities(options)}
    result = client.call("propose", name=options.study, **wanted)
    if not (options.wait or options.start):
        return result
    waited(client, workspace, [result["job"]])
    found = next(one for one in client.call("list_proposals", name=options.study) if one["job"] == result["job"])
    if not options.start:
        return beside(result, found)
    started = client.call("start_proposed", name=options.study, points=found["found"]["points"])
    if not options.wait:
        return {**found, **started}
    return beside(started, wait_for_study(client, workspace, result["study"]))


def confirm(client, workspace, options):
    wanted = {key: getattr(options, key) for key in ("candidate", "times", "seeds", "spread")}
    wanted |= {"rivals": options.rival or None}
    if options.preview:
        return client.call("plan_confirmation", name=options.study, **wanted)
    result = client.call("confirm", name=options.study, **wanted)
    if not options.wait:
        return result
    wait_for_study(client, workspace, result["study"])
    return beside(result, client.call("trust", name=options.study))


def trust(client, workspace, options):
    return client.call("trust", name=options.study, surrogate=options.surrogate)


def ledger(client, workspace, options):
    return client.call("ledger", name=options.study)


def value_source(client, workspace, options):
    wanted = {key: getattr(options, key) for key in ("corpus", "domain", "share", "candidate")}
    return client.call("value_source", name=options.study, **wanted, priorities=priorities(options))


def plan_runs(client, workspace, options):
    wanted = {key: getattr(options, key) for key in ("parameters", "tokens", "flops")}
    return client.call("plan_runs", name=options.study, **wanted, priorities=priorities(options))


def change(client, workspace, options):
    """Preview a study on other domains; with --start, create it."""
    parts = {old: {} for old in options.remove}
    for old, new in pairs(options.into).items():
        try:
            parts[old] = {name: float(fraction) for name, fraction in (part.rsplit(":", 1) for part in new.split(","))}
        except ValueError:
            raise Problem(f"Cannot read {old}={new!r}: write it as web=blogs:0.7,news:0.3.") from None
    result = client.call(
        "change_domains",
        name=options.study,
        corpus=options.corpus,
        parts=parts,
        new_name=options.name,
        start=options.start,
    )
    return wait_for_study(client, workspace, result["study"]) if options.wait and options.start else result
