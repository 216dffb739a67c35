"""The page Import asks what a table leaves open, and says what the command line says."""

from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from dashboard.views.measure.importing import stored
from engine.core.workspace import Workspace
from engine.service.owner import Owner
from tests.importing.made import LOSS, MIX, PLAIN, RUN, RUNS
from tests.importing.reading import written


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The imports folder of a page's workspace."""
    opened = Owner(Workspace.open(tmp_path_factory.mktemp("asked") / "workspace"))
    state.use(opened)
    (opened.workspace.root / "imports").mkdir()
    yield opened.workspace.root / "imports"
    state.use(None)
    opened.close()


def script():
    from dashboard.views.measure.importing import render

    render(None)


def opened(path) -> AppTest:
    app = AppTest.from_function(script, default_timeout=60).run()
    next(box for box in app.selectbox if box.label.startswith("or a file")).set_value(path.name).run()
    assert not app.exception
    return app


def test_states_that_nobody_knows_are_asked_about(folder):
    ends = ["finished"] * (RUNS - 1) + ["evicted"]
    app = opened(written(folder / "ends.csv", {**PLAIN, "status": ends}))
    (button,) = [one for one in app.button if one.label == "Import"]
    (question,) = [one for one in app.selectbox if "Are these runs finished" in one.label]
    assert button.disabled and "evicted" in question.label
    question.set_value("leave out").run()
    assert not next(one for one in app.button if one.label == "Import").disabled and not app.error


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({**RUN, **MIX, "val_loss": [f"{loss} nats" for loss in LOSS]}, "named like a metric, and holds no numbers"),
        ({"domain": ["web", "code"] * RUNS, "weight": [0.5] * 2 * RUNS}, "no column that names the runs"),
    ],
)
def test_a_refusal_says_what_is_wrong(folder, columns, said):
    app = opened(written(folder / "wrong.csv", columns))
    assert any(said in one.value.replace("\\", "") for one in app.error)
    assert next(one for one in app.button if one.label == "Import").disabled


def test_two_uploads_of_one_name_are_two(folder):
    """Of a pair, or of two people at once; and names of other letters than ours are no one's in common."""
    uploads = [(name, data) for name in ("train.csv", "混合.csv") for data in (b"a,b\n1,2\n", b"a,b\n3,4\n")]
    kept = [stored(SimpleNamespace(name=name, getvalue=lambda data=data: data)) for name, data in uploads]
    assert len(set(kept)) == 4 and [(folder / one).read_bytes() for one in kept] == [data for _, data in uploads]
    assert kept[0].endswith("/train.csv")
