"""Say later how much text the real run of a study has, and its budget. Uses the store."""

from dataclasses import replace

import numpy as np

from engine.core.checks import check, is_number
from engine.core.errors import Problem
from engine.core.people import need
from engine.core.short_names import digest, listed
from engine.jobs.decisions import StudyTextGiven
from engine.spec.frame import frame_of
from engine.spec.pools import GIVEN, SAMPLE, Pools, check_counts
from engine.spec.repetition import is_matched
from engine.spec.study import StudySpec
from engine.studies.advance import advance
from engine.studies.measured import frame_of_study
from store import studies
from store.database import Store


def give_text(store: Store, study: studies.Study, given: dict[str, float], target: float | None = None) -> None:
    """Record tokens by domain, and the tokens of the real run (None: as before), for a study that is planned.

    Its natural mixture, caps, epochs and exports follow, and it is searched again; its runs stay what they are. Raises
    Problem if the counts are invalid, no mixture is left, or its proxies were cut to other counts.
    """
    need("operator", "say how much text a study has")
    frame, spec = frame_of_study(study), StudySpec.from_dict(study.spec)
    if study.kind == "merge":
        raise Problem(f"Cannot give token counts to {study.name!r}: a merge repeats no text.")
    if not given and target is None:
        raise Problem(f"Cannot change the text of {study.name!r}: give tokens of a domain, a target budget, or both.")
    check_counts(given, study.domains)
    check(target is None or is_number(target, 1), target, "the budget of the real run", "a number of tokens")
    if is_matched(spec, frame):
        raise Problem(
            f"Cannot change the text of {study.name!r}: its proxies repeat text as a run of {frame.budget:,.0f} tokens "
            "on the counts that it began with. Start a new study with the new ones."
        )
    pools = counted(study, frame.pools, given)
    new = replace(
        spec,
        available_tokens={**spec.available_tokens, **given},
        target_tokens=spec.target_tokens if target is None else float(target),
        simulated_epoching=False,
    )
    corpus = {**(study.corpus or {"domains": {}}), "pools": pools.rows()}
    frame_of(new, study.domains, corpus, study.imported)  # raises if the constraints leave no mixture
    revision = digest([corpus["pools"], new.target_tokens])[:12]
    store.write(StudyTextGiven(study.id, new.available_tokens, new.target_tokens, corpus["pools"], revision))
    advance(store)


def counted(study: studies.Study, before: Pools | None, given: dict[str, float]) -> Pools:
    """The pools with these counts; what only a sample was read of, and is not given, is unknown from now on."""
    names = tuple(study.domains)
    if before is None:
        if missing := [name for name in names if name not in given]:
            raise Problem(
                f"Cannot use these counts for {study.name!r}: they lack {listed(missing)}. Its runs were imported, so "
                "nothing else tells how much text there is. Give every domain a number."
            )
        return Pools(names, np.array([given[name] for name in names], float), (GIVEN,) * len(names), None)
    sources = tuple(GIVEN if name in given else old for name, old in zip(names, before.sources, strict=True))
    tokens = [
        given.get(name, np.nan if source == SAMPLE else old)
        for name, source, old in zip(names, sources, before.tokens, strict=True)
    ]
    return Pools(names, np.array(tokens, float), sources, before.sample)
