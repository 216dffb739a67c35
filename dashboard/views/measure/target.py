"""The real run that a new study is for: its budget, how much text there is of each domain, and its repetition."""

import streamlit as st

from dashboard.views.shared.counts import edited_counts
from dashboard.views.shared.text import plain
from engine.core.short_names import listed
from engine.spec.alphabets import differing, in_words, is_known
from engine.spec.frame import Frame
from engine.spec.pools import SOURCES, pools_of
from engine.spec.repetition import DOSES, is_matched, kept_fractions
from engine.spec.study import StudySpec

PROPOSED = 8  # dose runs: 6 to 12 serve a study


def ask_target(domains: list[str], manifest: dict | None, start: StudySpec | None = None, tables: bool = True) -> dict:
    """The real run that the study is for, and which losses count. start: the study whose answers stand there at first;
    None: what a new study proposes; tables: as of `ask_bounds`."""
    a, b = st.columns(2)
    before = start or StudySpec(name="new", fidelity=None)
    found = ask_budget(a, b, before)
    known = 0
    if manifest is not None and domains:
        found["available_tokens"] = ask_counts(domains, manifest, before, tables)
        text = pools_of(domains, manifest, found["available_tokens"], found["target_tokens"])
        known = len(domains) - len(text.unknown)
    found |= ask_repetition(b, known if found["target_tokens"] else 0, start)
    if manifest is None:
        return found
    control = [name for name in domains if name == "junk" and manifest["spec"]["source"]["type"] == "default"]
    return found | ask_priorities(domains, before, manifest["domains"], control if start is None else None)


def ask_budget(a, b, before: StudySpec) -> dict:
    """The tokens of the real run, and how often it may repeat text; a, b: where they are asked."""
    return {
        "target_tokens": a.number_input(
            "Target budget, tokens",
            0.0,
            1e15,
            float(before.target_tokens),
            format="%.3g",
            help="Of the real training run; 0: the size of the corpus.",
        ),
        "epoch_cap": b.number_input(
            "Epoch cap",
            min(0.1, before.epoch_cap),
            max(100.0, before.epoch_cap),
            float(before.epoch_cap),
            help="How often the real run may repeat a domain.",
        ),
        "cap_design": a.checkbox(
            "Apply the epoch cap to proxies too", before.cap_design, help="Searches always apply it."
        ),
    }


def ask_priorities(
    domains: list[str], before: StudySpec, facts: dict | None = None, control: list[str] | None = None
) -> dict:
    """Which losses count, and whether their mean is one of losses relative to the natural mixture's.

    facts: of a corpus' domains, which tell their scripts and alphabets; None where there is none here. control: those
    that do not count at first; None: those of the study before.
    """
    zeros = [name for name in domains if before.priorities.get(name) == 0]
    uncounted = st.multiselect(
        "Domains to train on but not to score",
        domains,
        default=zeros if control is None else control,
        help="Their losses get priority 0. Priorities can be changed later.",
    )
    counted = {name: value for name, value in before.priorities.items() if value}
    scored = [name for name in domains if name not in uncounted]
    return {"priorities": counted | dict.fromkeys(uncounted, 0.0), "relative": ask_mean(scored, before, facts or {})}


def ask_mean(scored: list[str], before: StudySpec, facts: dict) -> bool | None:
    """Whether losses are divided by those of the natural mixture; None where that follows from the domains' letters, or
    nobody knows yet."""
    apart = differing(scored, facts)
    usual = bool(apart) if before.relative is None else before.relative
    relative = st.checkbox(
        "Losses relative to the natural mixture",
        usual,
        help="Each loss is divided by the one at the natural mixture before the mean: for domains of several "
        "scripts or alphabets, where a byte is not the same everywhere.",
    )
    if apart:
        st.caption(
            f"The domains are of different scripts or alphabets ({plain(in_words(apart))}), where a byte is not the "
            "same: a plain mean is mostly that of the domain whose bytes say most."
        )
    elif not is_known(scored, facts):
        st.caption(
            "Whether the domains are of one script or alphabet is not known here. Where they are not, choose it."
        )
    return before.relative if relative == usual else relative


def ask_counts(domains: list[str], manifest: dict, start: StudySpec, tables: bool = True) -> dict[str, float]:
    """Tokens of each domain that the real run can draw on, where that is not what was read."""
    if not tables:
        return {name: float(start.available_tokens[name]) for name in domains if name in start.available_tokens}
    st.caption(
        "How much text the real run has of each domain. Proxies read the corpus; where that is only a sample, give the "
        "real count, and the natural mixture, UniMax, epochs, caps and exports follow it."
    )
    pools = pools_of(domains, manifest, budget=1.0)
    facts = {"tokens read": pools.sample, "known": [SOURCES[source] for source in pools.sources]}
    return edited_counts(domains, domains, start.available_tokens, facts, f"pools-{'-'.join(domains)}")


def ask_repetition(place, known: int, start: StudySpec | None) -> dict:
    """Whether proxies repeat text as the real run will, and the runs that measure what repetition costs.

    known: of how many domains it is known how often the real run repeats them; start: as in `ask_target`.
    """
    matched = place.checkbox(
        "Repeat text as the real run will",
        start is None or start.simulated_epoching is not False,
        help="Where budget and tokens are known, every domain is cut for the proxies so that they see it as many times "
        "as the real run (simulated epoching).",
    )
    if not matched:
        return {"simulated_epoching": False, "dose_runs": 0}
    always = {"simulated_epoching": True if start is not None and start.simulated_epoching else None}
    if not known:
        return {**always, "dose_runs": 0}
    doses = st.number_input(
        "Dose runs",
        0,
        100,
        min(PROPOSED, known * len(DOSES)) if start is None else start.dose_runs,
        help="Mixtures of the design trained again with one domain's text cut to a half, a quarter or an eighth. Only "
        "they separate the harm of repetition from the benefit of a larger share; 6 to 12 are enough for a study.",
    )
    return {**always, "dose_runs": int(doses)}


def cut_words(spec: StudySpec, frame: Frame) -> str:
    """How much of each domain's sample proxies see."""
    if not is_matched(spec, frame):
        return ""
    part = kept_fractions(spec, frame)
    cut = [f"{plain(name)} {one:.3%}" for name, one in zip(frame.space.names, part, strict=True) if one < 1]
    return f" Proxies see {listed(cut)} of what was read, repeated as often as in the real run." if cut else ""
