"""Commands about what is predicted: fit, search, searches. Apart from those of studies, as they read the methods."""

from engine.cli.numbers import whole_given
from engine.cli.waiting import beside, waited
from engine.cli.words import limit_option, numbers, plain, priorities, priority_option
from engine.search.methods import DEFAULT_METHOD, METHODS


def add(command) -> None:
    command("fit", fit, "fit and cross-validate the surrogates on the finished runs", study=True, wait=True)
    search_options(
        command("search", search, "score simulated mixtures and find the lowest prediction", study=True, wait=True)
    )
    command("searches", plain("list_searches"), "the searches and their results, latest first", study=True)


def search_options(one) -> None:
    """What a search takes."""
    one.add_argument("--surrogate", help="default: the best on the leaderboard")
    priority_option(one)
    one.add_argument("--method", choices=list(METHODS), default=DEFAULT_METHOD, help="default: %(default)s")
    price = "of a million unique tokens, for the cheapest near-optimal mixture; repeat; default: all 1"
    one.add_argument("--price", action="append", default=[], metavar="DOMAIN=PRICE", help=price)
    limit_option(one)
    one.add_argument("--points", type=whole_given, default=1_000_000, help="simulated mixtures (default: %(default)s)")


def fit(client, workspace, options):
    result = client.call("fit", name=options.study)
    if options.wait:
        waited(client, workspace, [result["job"]])
    return beside(result, client.call("show", name=options.study)["league"]) if options.wait else result


def search(client, workspace, options):
    """Queue a search; with --wait, show its result."""
    result = client.call(
        "search",
        name=options.study,
        surrogate=options.surrogate,
        priorities=priorities(options),
        points=options.points,
        method=options.method,
        prices=numbers(options.price),
        limits=numbers(options.limit),
    )
    if not options.wait:
        return result
    waited(client, workspace, [result["job"]])
    done = client.call("list_searches", name=options.study)
    return beside(result, next(one for one in done if one["job"] == result["job"]))
