"""How candidates are spoken of: times, predictions, gaps, deeds. Plain text, for pages and reports alike. No
streamlit.
"""

from datetime import UTC, datetime

from engine.review.confirming import EVERYTHING
from engine.review.evidence import CANDIDATE
from engine.spec.objectives import Aggregate

DID = {
    "put": "put it forward",
    "comment": "commented",
    "vote": "voted",
    "decision": "decided",
    "confirm": "confirmed it",
    "rules": "set the rules",
}


def number(value: float, sign: str = "") -> str:
    """A number with three decimals where that says something, else whole. sign: "+" to show it always."""
    return f"{value:{sign}.3f}" if abs(value) < 1000 else f"{value:{sign},.0f}"


def counted(count: float, what: str) -> str:
    """ "1 run", "2 runs"."""
    return f"{count:,g} {what}{'' if count == 1 else 's'}"


def moment(t: float) -> str:
    """A time as people say it, in UTC: everybody in a call reads the same."""
    return datetime.fromtimestamp(t, UTC).strftime("%d %b %Y, %H:%M UTC")


def predicted_words(predicted: dict, whole: Aggregate) -> str:
    """The aggregate with its interval and unit."""
    value = number(whole.sign * predicted["aggregate"])
    return f"{value} ± {number(1.96 * predicted['aggregate_std'])} {whole.unit} predicted"


def against_words(baselines: dict[str, dict], whole: Aggregate) -> str:
    """The first baseline's difference, and whether it can be claimed."""
    name, gap = next(iter(baselines.items()))
    words = f"{number(whole.sign * gap['aggregate'], '+')} against {name}"
    return f"{words}: inside the noise" if gap["inside_noise"] else words


def size_words(one: dict) -> str:
    """A fidelity in a few words."""
    fidelity = one["fidelity"]
    everything = fidelity["eval_tokens"] >= EVERYTHING
    own = "The proxies' own size" if one["own"] else "All validation text" if everything else "Larger"
    tokens = f"{fidelity['tokens'] / 1e6:.2g} million tokens"
    return f"{own}: width {fidelity['width']}, {counted(fidelity['layers'], 'layer')}, {tokens}"


def gap_words(one: dict, whole: Aggregate) -> str:
    """The gap of the aggregate at the proxies' size, said plainly."""
    gap, point = one["gap"], one["points"][CANDIDATE]
    half = point["aggregate_half"]
    told = "" if half is None else f" ± {number(half)}"
    direction = "worse" if gap["aggregate"] > 0 else "better"
    where = "outside" if gap["outside"] else "inside"
    return (
        f"Measured {number(whole.sign * point['aggregate'])}{told} {whole.unit}: {number(abs(gap['aggregate']))} ± "
        f"{number(gap['aggregate_half'])} {direction} than predicted, {where} the promised interval."
    )


def did(one: dict) -> str:
    """An entry's deed in words."""
    return f"decided: {one['verdict']}" if one["what"] == "decision" else DID[one["what"]]


def words(one: dict) -> str:
    """An entry's text, or what it was about."""
    if one["what"] == "vote":
        return "no preference in a pair" if one["neither"] else "preferred one of a pair"
    if one["what"] == "rules":
        return f"{counted(one['approvals'], 'approval')}{', the author alone may be enough' * one['author_alone']}"
    if one["what"] == "confirm":
        if one["times"] == 1:
            return counted(one["runs"], "new run")
        return f"{one['runs']} new runs, {one['seeds']} seeds, also {one['times']:g} times as large"
    return one.get("text") or one.get("reason") or one.get("name") or ""
