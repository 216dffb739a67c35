"""Commands about what domains do to each other."""

from engine.cli.waiting import beside, wait_for_study
from engine.cli.words import plain
from engine.core.errors import Problem


def add(command) -> None:
    one = command("influence", influence, "what leaving out each domain, or pair of domains, does", study=True)
    one.add_argument("--pairs", action="store_true", help="of pairs: what the two do together beyond the sum of both")
    one.add_argument("--surrogate", help="default: the best on the leaderboard")
    said = "train the prior mixture without each of its domains, or without pairs of them"
    one = command("train-without", without, said, study=True, wait=True)
    one.add_argument("--pair", action="append", default=[], metavar="A,B", help="leave these two out together; repeat")
    said = "what leaving out each domain does to a metric that few runs measured, by the other metrics"
    one = command("metric-row", metric_row, said, study=True)
    one.add_argument("--metric", required=True, help="of the study, as `runs` names it")
    said = "what having a domain does that few runs have, and whether these runs can tell"
    one = command("domain-row", domain_row, said, study=True)
    one.add_argument("--domain", required=True, help="of the study")
    said = "how well few runs tell the effects of a new metric or domain, and of combinations that no run had"
    command("influence-check", plain("influence_check"), said, study=True)


def influence(client, workspace, options):
    return client.call("influence", name=options.study, pairs=options.pairs, surrogate=options.surrogate)


def without(client, workspace, options):
    """Train what is not there yet."""
    pairs = [pair.split(",") for pair in options.pair]
    if odd := [pair for pair in pairs if len(pair) != 2]:
        raise Problem(f"Cannot read the pair {','.join(odd[0])!r}: write it as web,code.")
    asked = client.call("train_without", name=options.study, pairs=pairs or None)
    return beside(asked, wait_for_study(client, workspace, asked["study"])) if options.wait else asked


def metric_row(client, workspace, options):
    return client.call("metric_row", name=options.study, metric=options.metric)


def domain_row(client, workspace, options):
    return client.call("domain_row", name=options.study, domain=options.domain)
