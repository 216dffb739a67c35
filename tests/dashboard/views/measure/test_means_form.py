"""The form of a new study says whether its domains are of several scripts, and keeps what somebody chooses."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from engine.spec.study import StudySpec

FACTS = {
    "prose": {"alphabets": {"Latin": 1.0}},
    "genes": {"alphabets": {"DNA": 1.0}},
    "code": {"alphabets": {"Latin": 1.0}},
}


def form(domains: list[str], facts: dict, spec: str) -> None:
    import json

    import streamlit as st

    from dashboard.views.measure.target import ask_priorities
    from engine.spec.study import StudySpec

    st.text(json.dumps(ask_priorities(domains, StudySpec.from_dict(json.loads(spec)), facts)))


def asked(domains: list[str], facts: dict, **settings) -> AppTest:
    spec = json.dumps({"name": "S", "fidelity": "demo", **settings})
    app = AppTest.from_function(form, args=(domains, facts, spec)).run(timeout=90)
    assert not app.exception
    return app


def given(app: AppTest) -> bool | None:
    return json.loads(app.text[0].value)["relative"]


@pytest.mark.parametrize(
    ("domains", "facts", "ticked", "said"),
    [
        (["prose", "genes"], FACTS, True, "genes"),
        (["prose", "code"], FACTS, False, None),
        (["prose", "other"], FACTS, False, "not known here"),
        (["prose", "genes"], {}, False, "not known here"),
    ],
)
def test_the_form_starts_as_the_domains_are(domains, facts, ticked, said):
    app = asked(domains, facts)
    assert app.checkbox[0].value is ticked and given(app) is None
    words = [one.value for one in app.caption]
    assert (said is None and not words) or any(said in one for one in words)
    app.checkbox[0].set_value(not ticked).run(timeout=90)
    assert given(app) is not ticked


def test_a_domain_that_does_not_count_changes_nothing():
    app = asked(["prose", "genes"], FACTS, priorities={"genes": 0.0})
    assert app.checkbox[0].value is False and not app.caption


@pytest.mark.parametrize("chosen", [True, False])
def test_what_was_chosen_before_is_kept(chosen):
    app = asked(["prose", "genes"], FACTS, relative=chosen)
    assert app.checkbox[0].value is chosen and given(app) is chosen
    assert StudySpec.from_dict({"name": "S", "fidelity": "demo", "relative": chosen}).relative is chosen
