"""A form that starts from settings gives them back: what it does not show, or shows another way, is not lost."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.models.external_form import domains_in, measures_in
from dashboard.server import state
from engine.core.errors import Problem
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.corpus.spec import CorpusSpec
from engine.service.owner import Owner
from engine.spec.study import StudySpec
from store import corpora, studies
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

    from dashboard.views.measure import external, new_merge, new_study
    from engine.spec.study import StudySpec

    start = StudySpec.from_dict(json.loads(spec))
    ask = external.ask if start.trainer == "external" else new_study.ask if start.merge is None else new_merge.ask
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
            "groups": [
                {"name": "g", "domains": [two, three], "share": [0.2, 0.9], "ratios": {two: 1, three: 2}},
                {"name": "h, i", "domains": [three, one], "share": [0.1, 1.0], "level": "topic"},
                {"name": "j", "domains": ["*"], "share": [0.5, 1.0]},
            ],
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


def test_an_external_trainers_study_that_is_duplicated_keeps_every_setting(domains):
    one, two, three = domains
    spec = {
        "name": "Lab",
        "trainer": "external",
        "size": {"parameters": 1.2e9, "tokens": 2.4e10},
        "runs": 30,
        "repeats": 3,
        "repeat_mixtures": 2,
        "epoch_cap": 2.0,
        "bounds": {three: [0.1, 0.6]},
        "surrogates": ["gp"],
        "relative": True,
    }
    named = {"domains": [three, one], "available_tokens": {one: 1e12, three: 3e11}, "priorities": {one: 0.0}}
    shares = {"domains": ["a b", three], "prior": {"a b": 0.3, three: 0.7}}
    measures = {"measures": [{"metric": "mmlu", "unit": "accuracy", "higher_is_better": True}, {"metric": two}]}
    corpus = {"corpus": "alpha", "domains": [one, three], "available_tokens": {one: 2e12}, "target_tokens": 1e9}
    for more in (named, shares | measures, corpus):
        assert given_back(StudySpec.from_dict(spec | more)) == StudySpec.from_dict(spec | more)


def dialog() -> None:
    from dashboard.views.measure.new_study import new_study

    new_study()


def test_a_new_study_of_an_external_trainer_says_what_changes_and_is_planned(domains):
    app = AppTest.from_function(dialog).run(timeout=60)
    app.segmented_control[0].set_value("external").run(timeout=60)
    assert not app.exception
    assert any("Mixdesk trains none of these runs" in one.value for one in app.caption)
    assert not app.button, "there is nothing to start before domains are named"
    app.text_area[0].set_value("web = 8e12\ncode = 60%").run(timeout=60)
    assert "8e12" in app.text_area[0].value and "Cannot" in app.error[0].value, "tokens and shares do not go together"
    app.text_area[0].set_value("web = 8e12\ncode = 1e12\nbooks = many").run(timeout=60)
    assert "books = many" in app.error[0].value and "8e12" in app.error[0].value
    app.text_area[0].set_value("web = 8e12\ncode = 1e12\nbooks = 2e11").run(timeout=60)
    assert not app.exception and not app.error
    assert any("for your trainer" in one.value and "FLOPs" in one.value for one in app.markdown)
    with as_person(SYSTEM):
        app.button[0].click().run(timeout=60)
    study = next(one for one in studies.all_studies(state.store()) if one.name == "My study")
    assert study.external and study.domains == ["web", "code", "books"] and study.runs == 64 + 4 + 3


def test_what_is_written_of_domains_and_metrics_is_read_or_refused():
    text = domains_in('{"web": 12, "code": 8}')
    assert text == (("web", "code"), {"web": 12.0, "code": 8.0}, {})
    assert domains_in("a = b = 1_000\n\nweb")[:2] == (("a = b", "web"), {"a = b": 1000.0})
    for wrong in ("web = 1\nweb = 2", "= 3", '{"web": "x"}', "{", "web = -%"):
        with pytest.raises(Problem):
            domains_in(wrong)
    (measure,) = measures_in("hellaswag | accuracy | higher")
    assert measure == {"metric": "hellaswag", "unit": "accuracy", "higher_is_better": True}
    for wrong in ("a | b | more", "| b", "a | b | higher | c | d"):
        with pytest.raises(Problem, match="hellaswag"):
            measures_in(wrong)


def test_evaluators_of_a_merge_study_are_asked_for_and_kept(domains):
    root = state.store().workspace.root
    for name in ("base", "one", "two"):
        (root / "checkpoints" / name).mkdir(parents=True)
        (root / "checkpoints" / name / "config.json").write_text("{}")
    for name in ("judge.py", "speed.py"):
        (root / "evaluators").mkdir(exist_ok=True)
        (root / "evaluators" / name).write_text("")
    told = {"judge.py": {"win": "higher", "refused": "lower"}}
    merge = {"base": "base", "experts": {"one": "one", "two": "two"}, "evaluators": told}
    spec = StudySpec.from_dict({"name": "M", "corpus": "alpha", "merge": merge, "runs": 20, "repeats": 0})
    assert given_back(spec) == spec
    app = AppTest.from_function(study_form, args=(json.dumps(spec.to_dict()),)).run(timeout=60)
    next(one for one in app.multiselect if one.label == "Evaluators").set_value(["judge.py", "speed.py"]).run()
    assert app.exception, "it does not say yet what speed.py tells"
    fields = {one.label: one for one in app.text_input}
    fields["Metrics of speed.py: higher is better"].set_value(" a second , total").run()
    found = StudySpec.from_dict(json.loads(app.text[-1].value))
    assert not app.exception and found.merge.evaluators == told | {
        "speed.py": {"a second": "higher", "total": "higher"}
    }
