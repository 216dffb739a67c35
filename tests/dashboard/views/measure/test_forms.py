"""A form that starts from settings gives them back: what it does not show, or shows another way, is not lost."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.corpus.spec import CorpusSpec
from engine.service.owner import Owner
from engine.spec.study import StudySpec
from store import corpora
from tests.studies.test_contents import made


@pytest.fixture(scope="module")
def domains(tmp_path_factory) -> list[str]:
    """The domains of a corpus of a page's owner."""
    folder = tmp_path_factory.mktemp("forms")
    owner = Owner(Workspace.open(folder / "workspace"))
    state.use(owner)
    with as_person(SYSTEM):
        made(owner.store, "alpha", folder / "alpha")
    yield list(corpora.manifest(owner.store, "alpha")["domains"])
    state.use(None)
    owner.close()


def corpus_form(before: str) -> None:
    import json

    import streamlit as st

    from dashboard.views.measure.new_corpus import ask

    st.text(json.dumps(ask("mine", json.loads(before))))


def test_a_corpus_whose_build_failed_keeps_every_setting(tmp_path):
    spec = CorpusSpec(
        source={"type": "folder", "path": str(tmp_path), "text": "content"},
        cap_mb=3.5,
        tokenizer={"type": "bpe", "vocabulary": 512},
        private=True,
    )
    app = AppTest.from_function(corpus_form, args=(json.dumps(spec.to_dict()),)).run(timeout=30)
    assert not app.exception
    name, found = json.loads(app.text[-1].value)
    assert name == "mine" and CorpusSpec.from_dict(found) == spec


def study_form(spec: str) -> None:
    import json

    import streamlit as st

    from dashboard.views.measure import new_merge, new_study
    from engine.spec.study import StudySpec

    start = StudySpec.from_dict(json.loads(spec))
    ask = new_study.ask if start.merge is None else new_merge.ask
    st.text(json.dumps(ask(start)[0].to_dict()))


def given_back(spec: StudySpec) -> StudySpec:
    """What a form makes of settings that nobody touches."""
    app = AppTest.from_function(study_form, args=(json.dumps(spec.to_dict()),)).run(timeout=60)
    assert not app.exception, app.exception
    return StudySpec.from_dict(json.loads(app.text[-1].value))


def test_a_study_that_is_duplicated_keeps_every_setting(domains):
    one, two, three = domains
    spec = StudySpec.from_dict(
        {
            "name": "All",
            "corpus": "alpha",
            "design": "corners",
            "runs": 700,
            "largest_share": 0.2,
            "strength": [0.02, 40.0],
            "temperature": 0.02,
            "max_ratio": 2e6,
            "smallest_share": 0.2,
            "repeats": 2,
            "seed": 5_000_000,
            "common_random_numbers": False,
            "target_tokens": 1e9,
            "available_tokens": {one: 1e6, two: 2e6, three: 5e8},
            "epoch_cap": 500.0,
            "cap_design": True,
            "simulated_epoching": True,
            "dose_runs": 3,
            "phases": [{"fraction": 0.65}, {"fraction": 0.35, "shares": {one: 0.25, three: 0.75}}],
            "order_triples": 5,
            "branches": 2,
            "bounds": {one: [0.1, 0.6]},
            "groups": [{"name": "g", "domains": [two, three], "share": [0.2, 0.9], "ratios": {two: 1, three: 2}}],
            "priorities": {one: 0.0, two: 3.0},
            "metrics": ["accuracy"],
            "surrogates": ["gp"],
            "compute": {"group": 4, "max_parallel": 2},
            "fidelity": {"width": 48, "heads": 2, "layers": 3, "tokens": 4096, "warmup": 0.2, "eval_tokens": 2048},
        }
    )
    assert given_back(spec) == spec


def test_a_merge_study_that_is_duplicated_keeps_every_setting(domains):
    merge = {"method": "ties", "tuned": {"density": [0.2, 0.8]}, "knobs": {"normalize": False}, "by": "layer"}
    merge |= {"lower": -0.5, "upper": 20.0, "token_fraction": 0.25, "rate": 0.1}
    settings = {"runs": 20, "seed": 3_000_000, "metrics": ["accuracy"], "repeats": 0, "surrogates": ["gp"]}
    fidelity = {"width": 48, "heads": 2, "layers": 1, "tokens": 4096}
    spec = StudySpec.from_dict({"name": "M", "corpus": "alpha", "merge": merge, "fidelity": fidelity, **settings})
    assert given_back(spec) == spec
