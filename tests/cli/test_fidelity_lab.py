"""The fidelity lab as a user meets it: planned, trained, taken, on the command line and on its page."""

import pytest
from playwright.sync_api import expect

from tests.support.running import PATIENCE, STUDY, Page, answer, copied, said

TINY = STUDY.replace("Small", "Labbed").replace("runs = 16", "runs = 8").replace("tokens = 32768", "tokens = 4096")
NAMES = ("half the tokens", "rate x 0.1")
ASKED = [word for name in NAMES for word in ("--fidelity", name)]


@pytest.mark.slow
def test_a_lab_says_what_it_would_cost(finished):
    plan = answer(finished, "fidelity-lab", "Small", "--plan", *ASKED, "--times", "4")
    assert plan["mixtures"] == 24 and plan["seeds"] == 2 and list(plan["fidelities"]) == ["reference", *NAMES]
    assert plan["runs"] == pytest.approx(sum(one["runs"] for one in plan["fidelities"].values()))
    assert plan["fidelities"]["half the tokens"]["runs"] == pytest.approx(24)
    assert plan["fidelities"]["reference"]["runs"] > 48 * 8
    before = answer(finished, "fidelity-lab", "Small")
    assert before["fidelities"] == [] and before["recommended"] is None
    assert "from 24 to 256" in said(finished, "fidelity-lab", "Small", "--plan", "--mixtures", "8")
    assert "measured in 'Small' are none" in said(finished, "fidelity-lab", "Small", "--take", "muP")


@pytest.mark.soak
def test_a_lab_is_trained_and_a_study_takes_one_of_its_fidelities(finished, tmp_path, browser):
    desk = copied(finished, tmp_path / "workspace")
    (tmp_path / "study.toml").write_text(TINY)
    answer(desk, "start", str(tmp_path / "study.toml"), "--wait")
    found = answer(desk, "fidelity-lab", "Labbed", "--start", *ASKED, "--times", "1.5", "--wait")
    assert {one["name"] for one in found["fidelities"]} == set(NAMES) and found["reference"]["tokens"] == 6144
    sure = [one["name"] for one in found["fidelities"] if one["rank"] is not None and one["low"] > 0.8]
    assert found["recommended"] == (sure[0] if sure else None)
    assert all(one["low"] <= (one["rank"] or 0) <= one["high"] for one in found["fidelities"])
    again = answer(desk, "fidelity-lab", "Labbed", "--start", *ASKED, "--times", "1.5", "--wait")
    assert again == found, "nothing is measured twice"
    taken = answer(desk, "fidelity-lab", "Labbed", "--take", "half the tokens", "--wait")["study"]
    shown = answer(desk, "show", taken)
    assert shown["spec"]["fidelity"]["tokens"] == 2048 and shown["settled"]
    study = next(one["study"] for one in answer(desk, "list") if one["name"] == "Labbed")
    page, tab = Page(desk), browser.new_page(viewport={"width": 1360, "height": 1800})
    tab.set_default_timeout(PATIENCE)
    try:
        page.show(tab, f"fidelity-lab?study={study}")
        expect(tab.get_by_text("divided by the root of both reliabilities")).to_be_visible()
        expect(tab.get_by_role("button", name="Start the lab")).to_be_enabled()
        expect(tab.get_by_role("button", name="Start a study with it")).to_be_enabled()
    finally:
        tab.close()
        page.stop()
