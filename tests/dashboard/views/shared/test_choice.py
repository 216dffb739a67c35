"""Select boxes: what is chosen is an id, labels never repeat, the latest is followed, the link holds the choice."""

import ast

import pytest
from streamlit.testing.v1 import AppTest

from tests.support.running import ROOT

BOXES = {"selectbox", "multiselect", "pills", "segmented_control", "radio"}


def boxes():
    """Every call of a widget with options and a format_func: its file, line, and the format_func's source."""
    for path in sorted((ROOT / "dashboard").rglob("*.py")):
        source = path.read_text()
        for call in ast.walk(ast.parse(source)):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", None) in BOXES:
                for word in call.keywords:
                    if word.arg == "format_func":
                        yield path, call.lineno, ast.unparse(word.value), source


def test_every_select_box_with_titles_tells_them_apart():
    """A box knows options by their labels alone: of two with one label, the last would be taken for both."""
    found = list(boxes())
    assert len(found) > 15
    for path, line, label, source in found:
        table = label.removesuffix(".get")
        fixed = table.isupper() or label == "plain" or label.startswith("{")
        apart = label.startswith("told_apart(") or f"{table} = told_apart(" in source
        assert fixed or apart, f"{path.name}:{line}: labels of {label} may repeat"


# Options that are shown as they are, because nothing of them can be there twice: why, and how they are written.
ONCE_EACH = {
    "coordinates and metrics, unique in a study (store/events/shapes.py)": {
        *(
            "study.coordinates",
            "[name for name in study.coordinates if name != across]",
            "names.coordinates",
            "domains",
        ),
        *("names.metrics", "[one for one in names.metrics if one != first]"),
    },
    "names of points, which no candidate may take": {
        "names",
        "list(points)",
        "list(ends)",
        "list(frozen['baselines'])",
    },
    "corpora and folders of the workspace": {"built", "known", "folders", "others", "models", "files"},
    "domains of a corpus": {
        "there",
        "new",
        "list(manifest['domains']) if manifest else []",
        "list(manifest['domains'])",
    },
    "columns of a table, which may not repeat": {"first", "second", "metrics"},
    "ids of jobs and of runs": {"list(frame['job'])", "awaited"},
    "tensors of a file": {"['all tensors (mean)', *tensors]"},
    "a set of tags": {"sorted(known)"},
    "knobs of a method": {"[knob.name for knob in numeric]"},
    "words and numbers of our own": {
        *(
            "mine",
            "ends",
            "[7, 30, 90, 365]",
            "states",
            "looks",
            "views",
            "widths",
            "list(views)",
            "list(choices)",
            "list(groups)",
        ),
        *("list(GENERATORS)", "list(CUTS)", "[FILE, RULE, TEXT]"),
        *("SCHEDULES", "ACTIVATIONS", "BATCHES", "['tokens', 'loss']", "['this study', 'all studies']"),
        "['per expert', 'per expert and layer']",
    },
}


def test_every_box_without_titles_has_options_that_are_there_once():
    """A new one needs its row here, or goes by id (dashboard/views/shared/choice.py)."""
    found = set()
    for path in sorted((ROOT / "dashboard").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            box = isinstance(call, ast.Call) and getattr(call.func, "attr", None) in BOXES and len(call.args) > 1
            if box and not any(word.arg == "format_func" for word in call.keywords):
                found.add(ast.unparse(call.args[1]))
    assert found == set().union(*ONCE_EACH.values())


def calls(*names: str):
    """Every call of these widgets in the dashboard: its file, and the call."""
    for path in sorted((ROOT / "dashboard").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", None) in names:
                yield path, call


def test_one_of_some_views_is_always_chosen():
    """Else a second click on a view would leave the page without any."""
    for path, call in calls("segmented_control"):
        assert "required" in {word.arg for word in call.keywords}, f"{path.name}:{call.lineno}"


def test_no_box_offers_none_as_a_choice():
    """Streamlit takes it for an empty box, and puts a cross there that does nothing."""
    for path, call in calls("selectbox"):
        for words in (call.args[1:2], [word.value for word in call.keywords if word.arg == "format_func"]):
            none = [
                one for part in words for one in ast.walk(part) if isinstance(one, ast.Constant) and one.value is None
            ]
            assert not none, f"{path.name}:{call.lineno}"


def script(results: list[tuple[str, str]], link: str | None = None):
    """A page with one box."""
    import streamlit as st

    from dashboard.views.shared.choice import choose

    titles = dict(st.session_state.get("results", results))
    st.write("chosen: " + choose(st, "Result", titles, "result", link=link))


def shown(app: AppTest) -> str:
    assert not app.exception
    return app.markdown[0].value.removeprefix("chosen: ")


@pytest.fixture
def app():
    same = [("new", "LightGBM"), ("old", "LightGBM")]
    return AppTest.from_function(script, kwargs={"results": same, "link": "result"})


def test_of_two_with_one_title_the_latest_is_shown(app):
    assert shown(app.run()) == "new"
    assert app.selectbox[0].options == ["LightGBM (new)", "LightGBM (old)"]
    assert app.query_params["result"] in ("new", ["new"])


def test_a_choice_is_kept_and_the_latest_is_followed(app):
    app.run()
    app.session_state["results"] = [("newer", "LightGBM"), ("new", "LightGBM"), ("old", "LightGBM")]
    assert shown(app.run()) == "newer"
    app.session_state["result"] = "old"  # as the browser would
    app.run()
    assert shown(app) == "old"
    app.session_state["results"] = [("newest", "LightGBM"), ("newer", "LightGBM"), ("old", "LightGBM")]
    assert shown(app.run()) == "old"
    app.session_state["results"] = [("newest", "LightGBM")]
    assert shown(app.run()) == "newest"


def test_a_link_opens_what_its_sender_saw(app):
    app.query_params["result"] = "old"
    assert shown(app.run()) == "old"


def test_a_link_to_what_is_gone_opens_the_latest(app):
    app.query_params["result"] = "<b>gone</b>"
    assert shown(app.run()) == "new"


def metrics_script():
    """A page that asks what a new study measures."""
    import streamlit as st

    from dashboard.views.shared.metrics import ask_metrics

    st.session_state["asked"] = ask_metrics()


def test_a_new_study_may_measure_more_than_the_loss():
    page = AppTest.from_function(metrics_script).run()
    assert page.session_state["asked"] == (), "the loss alone, unless more is chosen"
    box = page.multiselect[0]
    assert "Loss" not in box.options and "Accuracy" in box.options
    box.select("accuracy").run()
    assert page.session_state["asked"] == ("accuracy",)
