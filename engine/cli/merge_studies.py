"""Commands about merge studies: measure a merge, search for a better one, compare merges with mixtures."""

from engine.cli.numbers import number_given, whole_given
from engine.cli.waiting import beside, waited
from engine.cli.words import limit_option, numbers, plain, priorities, priority_option


def add(command) -> None:
    one = command("measure-merge", measure, "measure one merge of a merge study", True, True)
    one.add_argument("--at", action="append", default=[], metavar="NAME=VALUE", help="a coefficient or knob; repeat")
    one.add_argument("--label", help="what its run is called")
    search_options(command("search-merges", search, "measure merges until a budget is spent", True, True))
    learn_options(command("learn-merge", learn, "data-driven merging: learn a merge from training text", True, True))
    command("learned-merges", plain("learned_merges"), "data-driven merges and their measured losses", study=True)
    one = command("ablate-merge", ablate, "how many experts pay, and which modules of a merge harm", True, True)
    one.add_argument("--at", action="append", default=[], help="best (default), a candidate, a run's id, or NAME=VALUE")
    one.add_argument(
        "--subsets", type=whole_given, default=6, help="sets of experts of each size (default: %(default)s)"
    )
    one.add_argument(
        "--total", type=number_given, default=1.0, help="sum of a set's coefficients (default: %(default)s)"
    )
    one.add_argument("--seed", type=whole_given, default=0, help="of the sets that are drawn (default: %(default)s)")
    command("merge-ablations", plain("merge_ablations"), "what ablations of merges found", study=True)
    one = command("write-merge", write, "write a merge as a checkpoint into the workspace's exports/", True, True)
    one.add_argument("--at", action="append", required=True, help="best, a candidate, a run's id, or NAME=VALUE")
    one.add_argument("--out", help="name of the folder or file")
    command("merge-searches", plain("merge_searches"), "the best merges that each search measured", study=True)
    command(
        "merge-as-proxy", plain("merge_as_proxy"), "do merges rank like the mixtures they are paired with?", study=True
    )


def search_options(one) -> None:
    """What a search of merges takes."""
    from engine.search.strategies import STRATEGIES

    one.add_argument("--by", choices=list(STRATEGIES), default="guided", help="default: %(default)s")
    one.add_argument("--evaluations", type=whole_given, default=128, help="merges to measure (default: %(default)s)")
    one.add_argument("--minutes", type=number_given, default=0, help="stop after this many; 0: no limit")
    one.add_argument("--surrogate", default="gp", help="the surrogate that guides the search (default: %(default)s)")
    one.add_argument(
        "--spread", action="store_true", help="search for a Pareto front: draw new metric weights every round"
    )
    priority_option(one)
    limit_option(one)
    one.add_argument("--seed", type=whole_given, default=0, help="default: %(default)s")


def learn_options(one) -> None:
    from engine.spec.merge_learners import LEARNERS

    one.add_argument("--by", choices=list(LEARNERS), required=True, help="the method (docs/reference/merge-methods.md)")
    one.add_argument("--set", action="append", default=[], metavar="KNOB=VALUE", help="one of its knobs; repeat")
    one.add_argument("--at", action="append", default=[], metavar="EXPERT=VALUE", help="the coefficient of one expert")
    one.add_argument("--large", default="", help="logit_fusion: a checkpoint that the experts steer")


def measure(client, workspace, options):
    wanted = {"coefficients": [numbers(options.at)], "label": options.label}
    result = client.call("measure_merge", name=options.study, **wanted)
    if not options.wait:
        return result
    waited(client, workspace, sorted({run["job"] for run in measured(client, options.study, result["runs"])}))
    return measured(client, options.study, result["runs"])


def measured(client, study: str, ids: list[str]) -> list[dict]:
    """Those runs of a study."""
    return [run for run in client.call("list_runs", name=study) if run["id"] in ids]


def place(given: list[str]) -> str | dict[str, float]:
    """A merge as the command line names it: one name, or coefficients."""
    return given[0] if len(given) == 1 and "=" not in given[0] else numbers(given)


def ablate(client, workspace, options):
    """Queue an ablation; with --wait, show what it found."""
    wanted = {"at": place(options.at or ["best"]), "subsets": options.subsets, "total": options.total}
    result = client.call("ablate_merge", name=options.study, **wanted, seed=options.seed)
    if not options.wait:
        return result
    waited(client, workspace, [result["job"]])
    done = client.call("merge_ablations", name=options.study)
    return beside(result, next(one for one in done if one["job"] == result["job"]))


def write(client, workspace, options):
    at = place(options.at)
    result = client.call("write_merge", name=options.study, at=at, out=options.out)
    if options.wait:
        waited(client, workspace, [result["job"]])
        done = client.call("job", job_id=result["job"])
        return result | {"state": done["state"], "message": done["message"]}
    return result


def learn(client, workspace, options):
    """Queue a data-driven merge; with --wait, show it when it is done."""
    result = client.call(
        "learn_merge",
        name=options.study,
        method=options.by,
        knobs=numbers(options.set),
        coefficients=numbers(options.at),
        large=options.large,
    )
    if not options.wait:
        return result
    waited(client, workspace, [result["job"]])
    done = client.call("learned_merges", name=options.study)
    return beside(result, next(one for one in done if one["job"] == result["job"]))


def search(client, workspace, options):
    wanted = {key: getattr(options, key) for key in ("evaluations", "minutes", "surrogate", "spread", "seed")}
    wanted |= {"strategy": options.by, "priorities": priorities(options), "limits": numbers(options.limit)}
    result = client.call("search_merges", name=options.study, **wanted)
    if not options.wait:
        return result
    waited(client, workspace, [result["job"]])
    done = client.call("merge_searches", name=options.study)
    return beside(result, next(one for one in done if one["job"] == result["job"]))
