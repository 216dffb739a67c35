"""The desk as one file: opened without a network, its faders work and its numbers are Python's."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from dashboard.report.desk import html
from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.studies.desk_file import desk_of
from engine.studies.fits import fit_of
from engine.studies.measured import aggregate_of, frame_of_study
from engine.surrogates.prediction import difference, predict
from store import runs, studies
from store.database import Store
from tests.support.running import copied, watched_tab

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def opened(merged, tmp_path_factory):
    store = Store(Workspace.open(copied(merged, tmp_path_factory.mktemp("desk") / "workspace")))
    yield store
    store.close()


@pytest.fixture
def tab(browser):
    """A tab without a network; nothing may be written to the console as an error."""
    yield from watched_tab(browser, 900, offline=True)


def of_kind(store: Store, kind: str) -> studies.Study:
    return next(one for one in studies.all_studies(store) if one.kind == kind)


def best_baseline(store: Store, study: studies.Study) -> str:
    """The merge that needs no search and has the lowest mean loss, by what was measured."""
    measured, by = runs.measured(store, study.id), aggregate_of(store, study)
    score = dict(zip(measured.labels, by.of(measured.losses), strict=True))
    return min((one for one in frame_of_study(study).baselines if one in score), key=score.get)


def numbers(text: str) -> list[float]:
    return [float(x.replace("−", "-")) for x in re.findall(r"[+−]?\d+\.\d+", text)]


@pytest.mark.parametrize("kind", ["mixture", "merge"])
def test_its_numbers_are_those_of_python(opened, tab, tmp_path, kind):
    study = of_kind(opened, kind)
    data, fit, aggregate = desk_of(opened, study), fit_of(opened, study), aggregate_of(opened, study)
    path = tmp_path / "desk.html"
    path.write_text(html(data), "utf-8")
    assert path.stat().st_size < 2_000_000
    tab.goto(path.as_uri())
    point, other = np.array(next(iter(data["points"].values()))), np.array(data["points"][data["reference"]])
    assert data["reference"] == {"mixture": "natural", "merge": best_baseline(opened, study)}[kind]
    here, gap = (
        predict(fit.surrogate, point, aggregate.weights),
        difference(fit.surrogate, point, other, aggregate.weights),
    )
    assert numbers(tab.locator("#number").inner_text()) == pytest.approx(
        [here.aggregate, 1.96 * here.aggregate_std], abs=6e-4
    )
    assert numbers(tab.locator("#change").inner_text())[:2] == pytest.approx(
        [gap.aggregate, 1.96 * gap.aggregate_std], abs=6e-4
    )
    expect(tab.locator(".mixdesk-meters tbody tr")).to_have_count(4)
    tab.get_by_role("slider").first.focus()
    tab.keyboard.press("End")
    moved = predict(fit.surrogate, np.eye(3)[0], aggregate.weights)
    if kind == "mixture":
        expect(tab.locator("#number")).to_have_text(f"{moved.aggregate:.3f} ± {1.96 * moved.aggregate_std:.3f}")
    tab.get_by_role("button", name=data["reference"], exact=True).click()
    expect(tab.locator("#change")).to_contain_text("+0.000")
    expect(tab.locator("#noise")).to_contain_text("Within noise")
    assert tab.locator("svg .line").get_attribute("points").count(",") == 41


def test_a_name_cannot_end_the_script(opened, tab, tmp_path):
    data = desk_of(opened, of_kind(opened, "mixture"))
    data["name"] = "</script><script>alert(1)</script>"
    data["points"] = {"</script><b>x</b>": data["points"]["natural"], **data["points"]}
    path = tmp_path / "desk.html"
    path.write_text(html(data), "utf-8")
    tab.on("dialog", lambda dialog: pytest.fail("a script of a name ran"))
    tab.goto(path.as_uri())
    expect(tab.locator("h1")).to_have_text("</script><script>alert(1)</script>")
    expect(tab.get_by_role("button", name="</script><b>x</b>")).to_be_visible()


def test_what_a_browser_cannot_compute_is_stood_for_and_said(opened, tab, tmp_path):
    study = of_kind(opened, "mixture")
    data = desk_of(opened, study, "ridge")
    assert data["instead_of"]["title"] == "Quadratic ridge" and data["instead_of"]["difference"] > 0
    path = tmp_path / "desk.html"
    path.write_text(html(data), "utf-8")
    tab.goto(path.as_uri())
    expect(tab.get_by_text("cannot be computed in a browser")).to_contain_text("Quadratic ridge")
    with pytest.raises(Problem, match="Choose one of"):
        desk_of(opened, study, "nonsense")
