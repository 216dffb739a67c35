"""Rounds from the command line: trade-offs, targets, next runs, confirmations, scale, changed domains."""

import re
import shutil

import numpy as np
import pytest
from playwright.sync_api import expect

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.studies import proposals
from store import from_journals, runs, studies
from store.database import Store
from tests.support.running import Page, answer, copied, engine, said, watched_tab

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def desk(finished, tmp_path_factory):
    """A copy of the finished workspace that these tests may change, in their order."""
    return copied(finished, tmp_path_factory.mktemp("rounds") / "workspace")


def test_trade_offs_and_targets_come_from_the_draws(desk):
    rows = answer(desk, "trade-off", "Small", "--metric", "python", "--metric", "prose")
    python, prose = (np.array([row["predicted"][name] for row in rows]) for name in ("python", "prose"))
    assert len(rows) > 2 and (np.diff(python) > 0).all() and (np.diff(prose) < 0).all()
    assert all(sum(row["shares"].values()) == pytest.approx(1, abs=1e-4) for row in rows)
    assert {row["place"] for row in rows} <= {"measured", "interpolated", "extrapolated"}
    limit = float(np.median(python))
    found = answer(desk, "wish", "Small", "--limit", f"python={limit}")
    assert found["predicted_to_keep_all"] > 0 and found["mixtures"][0]["predicted"]["python"] <= limit
    assert found["mixtures"][0]["place"] in ("measured", "interpolated", "extrapolated")
    result = answer(desk, "searches", "Small")[0]["found"]
    baselines = [gap["baseline"] for gap in result["differences"].values()]
    places = [one["place"] for one in [result["found"], result["near_optimal"]["nearest_prior"], *baselines]]
    assert set(places) <= {"measured", "interpolated", "extrapolated"} and "measured" in places[2:]
    assert 0 <= found["mixtures"][-1]["chance"] <= found["mixtures"][0]["chance"] <= 1
    nothing = answer(desk, "wish", "Small", "--limit", "python=0.01", "--limit", "prose=9")
    assert nothing["predicted_to_keep_all"] == 0 and nothing["in_the_way"] == "python" and nothing["ranges"] is None
    assert "'latin'" in said(desk, "trade-off", "Small", "--metric", "latin", "--metric", "prose")
    assert "two or three" in said(desk, "trade-off", "Small", "--metric", "python")


def test_methods_and_prices_of_a_search(desk):
    dear = ("--price", "python=50", "--points", "20000", "--wait")
    found = answer(desk, "search", "Small", "--method", "evolve", "--surrogate", "gp", *dear)["found"]
    near = found["near_optimal"]
    assert found["method"] == "evolve" and near["cheapest_price"] <= found["price"] + 1e-6
    assert "'latin'" in said(desk, "search", "Small", "--price", "latin=2")
    assert "log-linear law" in said(desk, "search", "Small", "--method", "convex", "--surrogate", "gp")


def test_a_source_is_priced_by_the_contents_of_its_text(desk):
    told = answer(desk, "value-source", "Small", "--corpus", "small", "--domain", "digits", "--share", "0.2")
    assert told["verdict"] == "worse" and told["change"] > 0 and told["low"] < told["change"] < told["high"]
    assert told["distance"] < 0.05 and told["like"][0]["domain"] == "Small: digits" and len(told["metrics"]) == 3
    other = answer(desk, "value-source", "Small", "--corpus", "small", "--domain", "prose", "--priority", "python=0")
    assert other["change"] < told["change"]
    assert "has digits, prose, python" in said(desk, "value-source", "Small", "--corpus", "small", "--domain", "latin")


def test_proposed_runs_are_trained_and_the_league_refits(desk):
    before = answer(desk, "show", "Small")
    found = answer(desk, "propose", "Small", "--count", "3", "--wait")["found"]
    assert len(found["points"]) == 3 and found["gain"] == sorted(found["gain"]) and found["noise"] > 0
    assert np.allclose(np.sum(found["points"], axis=1), 1) and np.min(found["std"]) > 0
    assert sum(found["relevance"]["effort"]) == pytest.approx(1)
    answer(desk, "propose", "Small", "--by", "climb", "--count", "2", "--start", "--wait")
    after = answer(desk, "show", "Small")
    assert after["counts"]["done"] == before["counts"]["done"] + 2
    assert after["league"]["runs"] == before["league"]["runs"] + 2
    rows = [row for row in answer(desk, "runs", "Small") if row["role"] == "proposed"]
    assert [row["label"] for row in rows] == ["round 1"] * 2 and {row["state"] for row in rows} == {"done"}
    assert "'guess'" in engine(desk, "propose", "Small", "--by", "guess", check=False).stderr
    assert "1 to 512" in said(desk, "propose", "Small", "--count", "0")


def test_a_confirmation_says_before_what_it_can_claim(desk):
    count = len(answer(desk, "runs", "Small"))
    found = answer(desk, "confirm", "Small", "--seeds", "3", "--spread", "2", "--preview")
    assert found["runs"] == 3 * len(found["mixtures"]) and found["flops"] > found["tokens"] > 0
    assert found["source"] == "repeats at the proxies' size" and found["noise"]["freedom"] == 3
    assert {one["against"] for one in found["claims"]} <= set(found["mixtures"])
    for one in found["claims"]:
        assert (one["power"] >= 0.8) == (abs(one["gap"]) >= one["detectable"]) == ((one["seeds"] or 10**9) <= 3)
        assert one["seeds_at_most"] is None or one["seeds_at_most"] >= one["seeds"]
    alone = answer(desk, "confirm", "Small", "--seeds", "1", "--preview")["claims"]
    assert all(one["power"] == 0 and one["detectable"] is None for one in alone), "one seed proves nothing"
    assert len(answer(desk, "runs", "Small")) == count, "nothing was trained"


def test_rivals_find_mixtures_at_the_cost_that_they_state(desk):
    assert "not found yet" in said(desk, "confirm", "Small", "--rival", "mixmin", "--preview")
    before = {one["method"]: one for one in answer(desk, "rivals", "Small")["methods"]}
    assert list(before) == ["mixmin", "fastmix", "doremi", "aioli"] and before["mixmin"]["runs"] > 3
    chosen = ("--method", "mixmin", "--method", "aioli")
    after = {one["method"]: one for one in answer(desk, "rivals", "Small", "--find", *chosen, "--wait")["methods"]}
    assert after["doremi"]["found"] is None
    for name in ("mixmin", "aioli"):
        found = after[name]["found"]
        assert found["runs"] == pytest.approx(before[name]["runs"], rel=0.05)
        assert sum(found["mixture"].values()) == pytest.approx(1)
        assert found["mixture"]["digits"] < 1 / 3, "the digits do not count in this study"
    again = answer(desk, "rivals", "Small", "--find", *chosen)["jobs"]
    assert all(one["already_there"] for one in again)


def test_a_confirmation_trains_larger_models_and_says_how_far_to_trust(desk):
    before = answer(desk, "show", "Small")
    rivals = ("--rival", "mixmin", "--rival", "aioli")
    (found,) = answer(desk, "confirm", "Small", "--times", "2", "--seeds", "2", "--spread", "1", *rivals, "--wait")
    assert {"MixMin", "Aioli"} < set(found["mixtures"])
    (bought,) = answer(desk, "rivals", "Small")["confirmed"]
    assert bought["answer"] == "best predicted" and [one["label"] for one in bought["against"]] == ["MixMin", "Aioli"]
    for one in bought["against"]:
        assert one["seeds"] == 2 and one["half"] > 0 and 0 < one["runs"] < one["of"]
        sure = abs(one["gap"]) > one["half"]
        assert one["verdict"] == (("bought" if one["gap"] < 0 else "lost") if sure else "within noise")
    assert found["done"] == found["runs"] == 2 * len(found["mixtures"]) and found["mixtures"][0] == "best predicted"
    assert found["fidelity"]["layers"] == 2 and found["fidelity"]["tokens"] == 65536
    low, high = found["trust"]["rank_interval"]
    assert -1 <= low <= found["trust"]["rank"] <= high <= 1 and found["trust"]["noise"] > 0
    assert found["trust"]["best"] in found["trust"]["rivals"]
    after = answer(desk, "show", "Small")
    assert after["counts"] == before["counts"], "confirmations do not feed the proxies' surrogates"
    assert after["league"]["fingerprint"] == before["league"]["fingerprint"]
    check = answer(desk, "scale", "Small")
    assert len(check["sizes"]) == 2 and not check["level"] and -1 <= check["ways"][0]["rank"] <= 1
    assert "1 to 20" in said(desk, "confirm", "Small", "--seeds", "0")
    assert "'nobody'" in said(desk, "confirm", "Small", "--candidate", "nobody")


def test_a_study_goes_on_when_a_domain_is_added(desk, finished):
    """The corpus gets a fourth domain; runs of the three old ones count, few new ones are trained."""
    text = desk.parent / "text"
    shutil.copytree(finished.parent / "text", text)
    (text / "twice").mkdir()
    for path in sorted((text / "prose").glob("*.txt")):
        (text / "twice" / path.name).write_text(path.read_text()[::-1])
    answer(desk, "corpus", "--name", "four", "--folder", str(text), "--wait")
    price = ("value-source", "Small", "--corpus", "four", "--domain", "twice", "--share", "0.1")
    told = answer(desk, *price)
    assert answer(desk, *price)["registered"] == told["registered"], "asked twice is written once"
    (source,) = [one for one in answer(desk, "ledger", "Small")["sources"] if one["domain"] == "twice"]
    assert source["hash"] == told["registered"] and source["change"] == told["change"] and source["unchanged"]
    assert source["measured"] is None and "no study of the same proxies" in source["why_not"]
    plan = answer(desk, "change", "Small", "--corpus", "four")
    assert plan["opened"] == ["twice"] and plan["frozen"] == ["digits", "prose", "python"] and not plan["removed"]
    assert plan["runs_that_count"] > 16 and plan["new_runs"] < plan["runs_if_started_anew"]
    study = answer(desk, "change", "Small", "--corpus", "four", "--start", "--wait")["study"]
    shown = answer(desk, "show", study)
    assert shown["domains"] == ["digits", "prose", "python", "twice"] and shown["settled"]
    rows = answer(desk, "runs", study)
    carried = [row for row in rows if row["role"] == "carried"]
    assert len(carried) == plan["runs_that_count"]
    assert all(row["losses"]["twice"] is None and row["losses"]["prose"] > 0 for row in carried)
    assert all(row["losses"]["twice"] > 0 for row in rows if row["role"] != "carried")
    assert shown["league"]["runs"] == len(rows)
    (source,) = [one for one in answer(desk, "ledger")["sources"] if one["domain"] == "twice"]
    labels = {row["label"]: row["losses"] for row in rows if row["role"] == "proposed"}
    base, moved = labels["natural, as priced"], labels["natural, 10.0% of twice"]
    change = np.mean([moved[name] - base[name] for name in ("prose", "python")])
    assert source["measured"] == pytest.approx(change) and source["measured_in"] == study
    assert source["error"] == pytest.approx(source["change"] - change) and source["deviations"] is not None
    assert "not built" in said(desk, "change", "Small", "--corpus", "five")
    assert "nothing changes" in said(desk, "change", "Small", "--corpus", "small")


@pytest.fixture
def tab(browser):
    yield from watched_tab(browser, 1800)


def test_the_pages_show_the_rounds(desk, tab):
    """Trade-off, targets, proposal and confirmation as a person meets them."""
    page = Page(desk)
    study = next(one["study"] for one in answer(desk, "list") if one["name"] == "Small")
    try:
        page.show(tab, f"search?study={study}&search-look=Trade-off")
        expect(tab.get_by_text("At this point: ")).to_contain_text("bits per byte")
        before = tab.get_by_text("At this point: ").inner_text()
        tab.get_by_role("slider", name="Along the front").focus()
        tab.keyboard.press("ArrowLeft")
        expect(tab.get_by_text("At this point: ")).not_to_have_text(before)
        page.show(tab, f"next-runs?study={study}")
        expect(tab.get_by_text(re.compile("CLIMB narrows|Worth training|You can stop"))).to_be_visible()
        expect(tab.get_by_role("button", name=re.compile("Train these"))).to_be_enabled()
        page.show(tab, f"confirm?study={study}")
        expect(tab.get_by_text("Rank correlation, small to large")).to_be_visible()
        expect(tab.get_by_text(re.compile("measures best, beyond noise|Within noise of each other"))).to_be_visible()
        expect(tab.get_by_text("Two-sided at 95%")).to_contain_text("from repeats at the proxies' size")
        expect(tab.get_by_role("heading", name=re.compile("What the runs bought"))).to_be_visible()
        expect(tab.get_by_text(re.compile(r"runs \(\d+ mixtures × 3 seeds\)"))).to_be_visible()
        page.show(tab, f"explore?study={study}&look=Experts")
        expect(tab.get_by_text("stands for a model of their mixture")).to_be_visible()
        page.show(tab, f"search?study={study}")
        expect(tab.get_by_text("predicted in advance")).to_be_visible()
        page.show(tab, f"ledger?study={study}")
        expect(tab.get_by_text("predictions registered")).to_be_visible()
        expect(tab.get_by_text("By distance from the runs")).to_be_visible()
    finally:
        page.stop()


def test_all_of_it_is_rebuilt_from_the_journals(desk, tmp_path):
    workspace = Workspace.open(desk)
    live = Store(workspace)
    tables = ("studies", "runs", "jobs", "results", "leagues")
    before = {name: sorted(map(str, live.rows(f"SELECT * FROM {name}"))) for name in tables}
    live.close()
    from_journals.rebuild(workspace, tmp_path / "fresh.duckdb")
    fresh = Store(workspace, tmp_path / "fresh.duckdb")
    assert {name: sorted(map(str, fresh.rows(f"SELECT * FROM {name}"))) for name in tables} == before
    assert any("proposal.finished" in row for row in before["results"])
    fresh.close()


def test_what_cannot_be_trained(desk):
    store = Store(Workspace.open(desk))
    study = studies.get(store, "Small")
    with pytest.raises(Problem, match="Cannot train these mixtures"):
        proposals.start_proposed(store, study, np.array([[0.5, 0.6, 0.1]]))
    assert runs.last_number(store, study.id) > 20
    store.close()
