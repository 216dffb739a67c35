"""Commands about candidates: nominate, show, comment, vote, decide, confirm, compare."""

from engine.cli.numbers import number_given, whole_given
from engine.cli.waiting import beside, wait_for_study
from engine.cli.words import numbers, phase_option, phases, priorities, priority_option


def add(command) -> None:
    command("candidates", listed, "the candidates of a study, its rules and votes", study=True)
    one = command(
        "nominate", nominate, "nominate a point of a study as a candidate", study=True, aliases=("put-forward",)
    )
    one.add_argument("called", metavar="NAME", help="name of the candidate")
    one.add_argument("--because", required=True, metavar="TEXT", help="why it should be trained")
    one.add_argument("--candidate", help="best, a baseline, best schedule, or a run's id (as in export)")
    one.add_argument("--point", action="append", default=[], metavar="NAME=VALUE", help="or its values; repeat")
    phase_option(one, "or the shares of one phase")
    one.add_argument("--surrogate", help="default: the best on the leaderboard")
    priority_option(one)
    candidate_of(command("candidate", dossier, "show everything about one candidate"))
    add_talk(command)
    decided = candidate_of(command("decide", decide, "approve, reject or supersede a candidate"))
    decided.add_argument("verdict", choices=("approved", "rejected", "superseded"), help="the decision")
    decided.add_argument("--because", default="", metavar="TEXT", help="the reason; optional for an approval")
    decided.add_argument("--by", dest="successor", help="the id of the candidate that supersedes it")
    decided.add_argument(
        "--seen", metavar="REVISION", help="refuse if anything changed since this revision (`candidate` shows it)"
    )
    rules = command("rules", set_rules, "set the rules of approval for a study", study=True)
    rules.add_argument("--approvals", type=whole_given, default=1, help="number of approvals (default: %(default)s)")
    rules.add_argument("--author-alone", action="store_true", help="allow authors to approve their own")
    confirmed = candidate_of(
        command("confirm-candidate", confirm, "confirm it with several seeds, at proxy size and larger", wait=True)
    )
    confirmed.add_argument(
        "--times", type=number_given, default=4, help="multiple of a proxy's size (default: %(default)g)"
    )
    confirmed.add_argument(
        "--seeds", type=whole_given, default=3, help="runs per mixture and size (default: %(default)s)"
    )
    compared = command("compare", compare, "two to six candidates side by side")
    compared.add_argument("candidates", nargs="+", metavar="ID", help="two to six candidates' ids")
    compared.add_argument("--against", help="a candidate's id or a baseline's name (default: the first)")
    compared.add_argument("--tokens", type=number_given, help="target budget (default: the study's)")
    command("history", history, "the history of a study's candidates", study=True)


def add_talk(command) -> None:
    """Comments, the inbox and votes."""
    said = candidate_of(command("comment", comment, "comment on a candidate"))
    said.add_argument("text", metavar="TEXT", help="the comment, at most 10,000 characters")
    command("inbox", inbox, "what mentions you, needs your vote or decision, or was decided of yours")
    marked = command("mark-read", mark_read, "mark entries of your inbox as read")
    marked.add_argument(
        "lines", nargs="*", type=whole_given, metavar="N", help="their numbers (`inbox` shows them); or all"
    )
    command("ballot", ballot, "the next pair to vote on, without names", study=True)
    voted = command("vote", vote, "prefer one candidate to another")
    voted.add_argument("better", metavar="BETTER", help="the id of the one that you would train")
    voted.add_argument("other", metavar="OTHER", help="the id of the other one")
    voted.add_argument("--neither", action="store_true", help="no preference")
    voted.add_argument("--blind", action="store_true", help="say that the names were hidden")


def candidate_of(one):
    one.add_argument("candidate", metavar="ID", help="the candidate's id (`candidates` shows it)")
    return one


def listed(client, workspace, options):
    return client.call("list_candidates", name=options.study)


def nominate(client, workspace, options):
    """Freeze a point, named or given by its values, as a candidate."""
    return client.call(
        "nominate",
        name=options.study,
        called=options.called,
        rationale=options.because,
        candidate=options.candidate,
        point=numbers(options.point) or None,
        surrogate=options.surrogate,
        priorities=priorities(options),
        schedule=phases(options),
    )


def dossier(client, workspace, options):
    return client.call("dossier", candidate=options.candidate)


def comment(client, workspace, options):
    return client.call("comment", candidate=options.candidate, text=options.text)


def inbox(client, workspace, options):
    return client.call("inbox")


def mark_read(client, workspace, options):
    return client.call("mark_read", lines=options.lines or None)


def ballot(client, workspace, options):
    return client.call("ballot", name=options.study)


def vote(client, workspace, options):
    given = {"neither": options.neither, "blind": options.blind}
    return client.call("vote", one=options.better, other=options.other, **given)


def decide(client, workspace, options):
    given = {
        "verdict": options.verdict,
        "reason": options.because,
        "successor": options.successor,
        "seen": options.seen,
    }
    return client.call("decide", candidate=options.candidate, **given)


def set_rules(client, workspace, options):
    given = {"approvals": options.approvals, "author_alone": options.author_alone}
    return client.call("set_rules", name=options.study, **given)


def confirm(client, workspace, options):
    given = {"times": options.times, "seeds": options.seeds}
    result = client.call("confirm_candidate", candidate=options.candidate, **given)
    if not options.wait:
        return result
    wait_for_study(client, workspace, result["study"])
    return beside(result, client.call("dossier", candidate=options.candidate)["evidence"])


def compare(client, workspace, options):
    return client.call(
        "compare_candidates",
        candidates=options.candidates,
        reference=options.against or options.candidates[0],
        tokens=options.tokens,
    )


def history(client, workspace, options):
    return client.call("history", name=options.study)
