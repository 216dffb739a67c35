"""Every page in another unit of losses: nothing on it is left in bits per byte where it could be converted."""

import logging
import math
import re

import pytest
from streamlit.proto.Metric_pb2 import Metric
from streamlit.testing.v1 import AppTest

from dashboard.models.units import MINUS, NATS
from dashboard.server import state
from dashboard.views import MERGE, MIXTURE, pages_for
from dashboard.views.shared import plot
from engine.core.workspace import Workspace
from engine.jobs.ledger import SourcePrice, SourcePriced, hash_of
from engine.service.owner import Owner
from engine.spec.objectives import BITS
from store import studies
from tests.support.running import copied

OTHERS = {"tokens", "import", "corpus", "jobs"}  # pages that are about no losses
HYPHEN = re.compile(r"(?<![\w.\\-])\\?-\d")  # where a minus sign is meant
TEXTS = ("caption", "markdown", "metric", "info", "success", "warning", "error")


@pytest.fixture(scope="module")
def desk(merged, tmp_path_factory):
    """The ids of a mixture study and of a merge study, by kind, in a workspace that this process owns."""
    logging.getLogger("streamlit").setLevel(logging.ERROR)
    owner = Owner(Workspace.open(copied(merged, tmp_path_factory.mktemp("units") / "workspace")))
    state.use(owner)
    found = {one.kind: one for one in studies.all_studies(owner.store)}
    owner.store.write(SourcePriced(found[MIXTURE].id, price_for(found[MIXTURE])))
    yield {kind: one.id for kind, one in found.items()}
    state.use(None)
    owner.close()


def price_for(study: studies.Study) -> SourcePrice:
    """A price of a new source, for the ledger."""
    mixture, weights = ([1 / len(names)] * len(names) for names in (study.domains, study.metrics))
    place = {"corpus": "new", "domain": "law", "text": "00", "share": 0.1, "candidate": "natural", "mixture": mixture}
    said = {"change": -0.125, "std": 0.02, "half": 0.04, "noise": 0.01, "settled": 0.5, "distance": 0.1}
    values = {**place, **said, "weights": weights, "verdict": "better", "runs": 9}
    return SourcePrice(hash=hash_of(values), **values)


def page(path: str, kind: str, study: str, unit: str) -> None:
    import streamlit as st

    from dashboard.views import pages_for

    st.session_state["unit"], st.session_state["pages"] = unit, {}
    pages_for(kind)[path].function()(study)


def shown(path: str, kind: str, study: str, unit: str, monkeypatch) -> list[str]:
    """All that a page shows: its texts, its tables, its figures as JSON."""
    drawn: list[str] = []
    real = plot.draw
    monkeypatch.setattr(plot, "draw", lambda figure, *more: [drawn.append(figure.to_json()), real(figure, *more)][1])
    found = AppTest.from_function(page, args=(path, kind, study, unit), default_timeout=120)
    found.query_params["study"] = study
    found.run()
    assert not found.exception and not found.error, (path, found.exception, found.error)
    texts = [str(one.value) for kind_of in TEXTS for one in getattr(found, kind_of)]
    texts += [one.label for one in found.metric]
    falling = [one for one in found.metric if one.delta.startswith(MINUS)]  # Streamlit tells them by a hyphen
    assert all(one.proto.direction == Metric.MetricDirection.DOWN for one in falling)
    words = [cell for one in found.dataframe for cell in one.value.to_numpy().ravel() if isinstance(cell, str)]
    assert [text for text in texts + words if HYPHEN.search(text)] == [], path
    return texts + [one.value.to_csv() for one in found.dataframe] + drawn


@pytest.mark.parametrize("kind", [MIXTURE, MERGE])
def test_nothing_stays_in_bits_on_a_page_in_nats(desk, kind, monkeypatch):
    left: dict[str, list[str]] = {}
    for path in pages_for(kind).keys() - OTHERS:
        texts = shown(path, kind, desk[kind], "nats", monkeypatch)
        left[path] = [text[:300] for text in texts if BITS in text]
        assert path not in ("runs", "explore") or any("yaxis" in text and NATS in text for text in texts), path
    assert {path: texts for path, texts in left.items() if texts} == {}


def test_a_price_of_a_source_has_its_unit(desk, monkeypatch):
    for unit, change in (("bits", -0.125), ("nats", -0.125 * math.log(2)), ("perplexity", -0.125)):
        (table,) = [text for text in shown("ledger", MIXTURE, desk[MIXTURE], unit, monkeypatch) if "law of new" in text]
        assert f",{NATS if unit == 'nats' else BITS},{change}" in table


def test_two_studies_are_compared_from_the_list(desk):
    def studies_page(study: str) -> None:
        import streamlit as st

        from dashboard.views.measure.studies import render

        st.session_state["pages"] = {}
        render(study)

    found = AppTest.from_function(studies_page, args=(desk[MIXTURE],), default_timeout=120).run()
    next(one for one in found.button if one.label == "Compare two studies").click().run()
    assert found.title[0].value == "Two studies" and not found.exception
    assert [one.value for one in found.selectbox][:2] == [desk[MIXTURE], desk[MERGE]]
    table = found.dataframe[2].value  # of what was measured
    assert table["metric"][0] == "mean loss [bits per byte]"
    assert table["difference"].str.contains("within noise|beyond noise").all()
    next(one for one in found.button if one.label == "All studies").click().run()
    assert found.title[0].value == "Studies"


def test_a_link_to_a_study_that_is_gone_leads_back_to_the_list(desk):

    def two(link: str) -> None:
        import streamlit as st

        from dashboard.views.measure import side_by_side

        st.query_params["compare"] = link
        st.write(side_by_side.render())

    found = AppTest.from_function(two, args=(f"{desk[MIXTURE]},gone",), default_timeout=60).run()
    assert "False" in found.markdown[-1].value and not found.title
