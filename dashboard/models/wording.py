"""How candidates are described: times, predictions, errors, actions. Plain text, for pages and reports alike."""

from datetime import UTC, datetime, tzinfo

import numpy as np

from dashboard.models.units import Shown, number
from engine.analysis.readiness import CAN, CANNOT, LIMIT, Readiness
from engine.core.short_names import counted
from engine.review.confirming import EVERYTHING
from engine.review.evidence import CANDIDATE
from engine.spec.merge import PAIRED
from engine.spec.objectives import Aggregate
from engine.spec.phases import PHASED
from engine.spec.repetition import DOSE
from engine.spec.starts import START
from engine.spec.statistics import ci_half_width
from engine.studies.overlap import HOLDS, VANISHES, Gain
from engine.studies.overlap import NONE as NO_GAIN
from engine.studies.overlap import UNSURE as UNSURE_GAIN
from engine.studies.repeating import UNSEEN, UNSURE, Curve

DID = {
    "put": "nominated it",
    "comment": "commented",
    "vote": "voted",
    "decision": "decided",
    "confirm": "confirmed it",
    "rules": "changed the rules",
}


RUN = {"mixture": "run", "merge": "merge"}  # what a measured point of a study is called, by its kind
# Others are called as they are stored.
ROLES = {
    "design": "design point",
    "baseline": "baseline",
    "repeat": "repeat",
    DOSE: "dose run",
    PHASED: "phased run",
    START: "untrained start",
    PAIRED: "paired merge",
}


def two_digits(value: float) -> str:
    """A number rounded to two digits and written out: 0.0012, 2.7, 1,300."""
    return f"{float(f'{value:.2g}'):,.10g}"


def planned_words(roles: dict[str, int]) -> str:
    """How many runs, and of which roles: what every page says of a study's runs."""
    kinds = [counted(number, ROLES[role]) if role in ROLES else f"{number} {role}" for role, number in roles.items()]
    return counted(sum(roles.values()), "run") + (f" ({', '.join(kinds)})" if len(kinds) > 1 else "")


def without(known: np.ndarray) -> str:
    """How many runs a chart leaves out, of known (R,) bool: those in which what it shows was not measured."""
    lost = int((~known).sum())
    return f" ({lost} more {'lacks' if lost == 1 else 'lack'} a value)" if lost else ""


def worth_words(curve: Curve) -> str:
    """How many epochs of a domain are worth it, in words."""
    worth = curve.worth
    between = f"{two_digits(worth.low)} to {two_digits(worth.high)}"
    if worth.verdict == UNSURE:
        return f"cannot tell: {between} epochs"
    if worth.verdict == UNSEEN:
        return f"more than any run repeated it, {two_digits(curve.most)} epochs"
    return f"{two_digits(worth.epochs)} epochs, {between}"


def moment(t: float, zone: tzinfo = UTC) -> str:
    """A time as people say it, with its zone: whoever reads along elsewhere knows which."""
    there = datetime.fromtimestamp(t, zone)
    name = there.tzname() or ""
    return f"{there:%d %b %Y, %H:%M} {name if name.isalpha() else 'UTC' + name}"


def predicted_words(predicted: dict, aggregate: Aggregate, read: Shown) -> str:
    """The aggregate with its interval and unit."""
    value = read.words(aggregate.sign * predicted["aggregate"], ci_half_width(predicted["aggregate_std"]))
    return f"{value} {read.unit} predicted"


def places_of(one: dict, name: str) -> dict[str, list[float]]:
    """What a candidate or baseline trains on, by what it is called: its point; of a schedule the shares of each phase,
    then the totals."""
    if (schedule := one.get("schedule")) is None:
        return {name: one["point"]}
    titles = [f"{name}: phase {n}, {100 * part:.4g}%" for n, part in enumerate(schedule["fractions"], 1)]
    return dict(zip([*titles, f"{name}: total"], [*schedule["phases"], one["point"]], strict=True))


def against_words(baselines: dict[str, dict], aggregate: Aggregate, read: Shown) -> str:
    """The difference to the first baseline with its interval, and whether it is within noise."""
    name, gap = next(iter(baselines.items()))
    told = read.gap_words(aggregate.sign * gap["aggregate"], ci_half_width(gap["aggregate_std"]))
    words = f"{told} vs. {name}"
    return f"{words}: within noise" if gap["inside_noise"] else words


def fidelity_words(width: int, layers: int, tokens: float) -> str:
    """The size and budget of a run."""
    return f"width {width}, {counted(layers, 'layer')}, {tokens / 1e6:.2g} million tokens"


def size_words(one: dict) -> str:
    """At which size something was measured."""
    fidelity = one["fidelity"]
    everything = fidelity["eval_tokens"] >= EVERYTHING
    own = "Proxy size" if one["own"] else "All validation text" if everything else "Larger"
    return f"{own}: {fidelity_words(fidelity['width'], fidelity['layers'], fidelity['tokens'])}"


def gap_words(one: dict, aggregate: Aggregate, read: Shown) -> str:
    """Measured minus predicted aggregate at the proxies' size, in a sentence."""
    gap, point = one["gap"], one["points"][CANDIDATE]
    direction = "worse" if gap["aggregate"] > 0 else "better"
    where = "outside" if gap["outside"] else "inside"
    unit = f" {read.gap_unit}" if read.exponential else ""
    return (
        f"Measured {read.words(aggregate.sign * point['aggregate'], point['aggregate_half'])} {read.unit}: "
        f"{number(read.gap(abs(gap['aggregate'])))} ± {number(read.gap(gap['aggregate_half']))}{unit} {direction} than "
        f"predicted, {where} the predicted interval."
    )


def verdict(difference: dict) -> str:
    """Whether a measured difference to a baseline (engine.review.evidence) can be claimed."""
    if difference["measured_half"] is None:
        return "noise unknown"
    return "within noise" if difference["inside_noise"] else "better" if difference["measured"] < 0 else "worse"


def did(one: dict) -> str:
    """The action of a history entry."""
    return f"decided: {one['verdict']}" if one["what"] == "decision" else DID[one["what"]]


def rules_words(approvals: int, author_alone: bool | None) -> str:
    """The rules of approval in a sentence."""
    other = "" if author_alone else " from someone other than the author"
    unset = ", unless nobody signs in" if author_alone is None else ""
    return f"Needs {counted(approvals, 'approval')}{', at least one' * (bool(other) and approvals > 1)}{other}{unset}"


def approving_words(rules: dict, author: bool, only_user: bool) -> str:
    """What an approval by whoever looks counts for, where its button stands. author: they nominated it."""
    approvals, alone = rules["approvals"], rules["author_alone"]
    if not author:
        return f"{rules_words(approvals, alone)}."
    if not (only_user if alone is None else alone):
        return "You nominated this: it also needs an approval from someone else. Operators set that rule on Candidates."
    why = "nobody signs in here" if alone is None else "this study's rules allow it"
    more = "" if approvals == 1 else f" It needs {counted(approvals, 'approval')}."
    return f"You nominated this, and may approve it as {why}. It will say “approved by its author”.{more}"


def state_words(standing: dict) -> str:
    """The state of a candidate (engine.review.standing), and whether nobody but its author approved it."""
    return "approved by its author" if standing["by_author"] else standing["state"]


def needed(missing: str) -> str:
    """What an approval still needs (engine.review.standing), as part of a sentence."""
    return f"{missing} needed"


def words(one: dict) -> str:
    """The details of a history entry."""
    if one["what"] == "vote":
        return "no preference in a pair" if one["neither"] else "preferred one of a pair"
    if one["what"] == "rules":
        return rules_words(one["approvals"], one["author_alone"])
    if one["what"] == "confirm":
        if one["times"] == 1:
            return counted(one["runs"], "new run")
        return f"{one['runs']} new runs, {one['seeds']} seeds, also at {one['times']:g}× the size"
    return one.get("text") or one.get("reason") or one.get("name") or ""


def unfit(left_out: int, cut: int) -> str:
    """What became of items that did not fit a model's context, as a sentence; empty where all of them did."""
    said = [f"{counted(left_out, 'item')} did not fit its context and {'was' if left_out == 1 else 'were'} left out"]
    said = said * bool(left_out) + [f"{counted(cut, 'item')} lost the beginning of the prompt"] * bool(cut)
    return "; ".join(said) + "." * bool(said)


def gain_words(found: Gain, read: Shown, run: str, reference: str) -> str:
    """What is left of a gain without the items that stand in training text, as a sentence. run, reference: as the two
    are called."""
    ends = (found.whole, ci_half_width(found.error), found.left, ci_half_width(found.left_error))
    gap, half, left_gap, left_half = (number(read.gap(one)) for one in ends)
    whole, left = f"{gap} ± {half} {read.gap_unit}", f"{left_gap} ± {left_half}"
    said = {
        NO_GAIN: f"{run} is not better than {reference} beyond the noise of the items: {whole}.",
        HOLDS: f"The gain holds: {run} is {whole} better than {reference}, and {left} without the items that stand in "
        "training text.",
        VANISHES: f"The gain vanishes: {run} is {whole} better than {reference}, and {left} without the items that "
        "stand in training text. It may have learned their answers by heart.",
        UNSURE_GAIN: f"Whether the gain holds cannot be told: {run} is {whole} better than {reference}, and {left} on "
        "the items that stand in no training text, which are too few.",
    }
    return f"{said[found.verdict]} (95%, {found.left_items} of {counted(found.items, 'item')} left.)"


def steering(found: Readiness) -> str:
    """Whether a metric can be steered by the mixture, as a sentence with what it rests on."""
    if found.reliability is None or found.low is None or found.missing:
        return (
            "Whether the mixture steers it is not known: that takes mixtures that are trained again with other seeds, "
            f"{found.repeats + found.missing} times in all, and so far there are {found.repeats}."
        )
    said = {
        CAN: "The mixture steers it",
        LIMIT: "It may be a limit, not an objective",
        CANNOT: "The mixture does not steer it",
    }
    return (
        f"{said[found.verdict]}: {found.reliability:.2f} of its variance between runs is the mixture's, at least "
        f"{found.low:.2f} (95%), by {counted(found.repeats, 'repeat')}."
    )
