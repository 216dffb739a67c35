"""Two levels: a study whose domains are in a source and in a topic, from the import to the file that leaves."""

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.report.desk import with_names
from dashboard.report.html import bars
from dashboard.server import state
from dashboard.views.shared.study import named_of
from dashboard.views.understand.desk import group_faders, nearest_inside
from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.jobs.spool import Job
from engine.league import run as run_league
from engine.search.job import run as run_search
from engine.service.owner import Owner
from engine.studies import fits, imports
from engine.studies.measured import for_fitting, frame_of_study
from store import studies
from tests.importing.flat import write

NAMES = [f"{source}.{topic}" for source in ("cc", "books") for topic in ("maths", "law", "news")]
GROUPS = [
    {"name": "cc", "domains": ["cc.*"], "share": [0.2, 0.5], "level": "source"},
    {"name": "maths", "domains": ["*.maths"], "share": [0.1, 0.3], "level": "topic"},
    {"name": "law", "domains": ["*.law"], "ratios": {"cc.law": 1, "books.law": 2}, "level": "topic"},
]


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    """Imported runs, whose loss falls with what the groups hold down; fitted and searched."""
    opened, rng = Owner(Workspace.open(tmp_path_factory.mktemp("levels") / "workspace")), np.random.default_rng(0)
    state.use(opened)
    (opened.workspace.root / "imports").mkdir()
    shares = rng.dirichlet(np.ones(6), 40).round(6)
    columns = {f"w/{name}": shares[:, i] for i, name in enumerate(NAMES)}
    columns |= {"cc.maths_loss": 3 - shares[:, 0] - 0.5 * shares[:, 4] + 0.004 * rng.standard_normal(40)}
    columns |= {"books.law_loss": 3 - shares[:, 4] + 0.004 * rng.standard_normal(40)}
    write(opened.workspace.root / "imports" / "runs.csv", columns)
    with as_person(SYSTEM):
        imports.import_runs(opened.store, "grid", "flat", "runs.csv", groups=GROUPS)
        study = studies.get(opened.store, "grid")
        done(
            opened.store,
            fits.fit_id(study, for_fitting(opened.store, study.id)),
            run_league,
            surrogates=["log_linear"],
            repeats=1,
        )
        done(opened.store, COMMANDS["search"](opened.store, "grid", points=1000)["job"], run_search)
    yield opened
    state.use(None)
    opened.close()


def done(store, job: str, work, **more) -> None:
    folder = store.spool.find(job)
    work(Job(folder, store.workspace.root, json.loads((folder / "spec.json").read_text()) | more))
    store.ingest()


@pytest.fixture
def study(owner) -> studies.Study:
    return studies.get(owner.store, "grid")


def test_every_answer_keeps_the_groups_and_tells_totals(owner, study):
    space, moment = frame_of_study(study).space, COMMANDS["show"](owner.store, "grid")["moment"]
    best = np.array([moment["best_predicted"][name] for name in NAMES])
    totals = moment["best_predicted_totals"]
    assert space.contains(best[None])[0] and list(totals) == ["source", "topic"]
    assert totals["source"] == pytest.approx({"cc": best[:3].sum(), "other": best[3:].sum()}, abs=1e-5)
    assert totals["topic"]["maths"] == pytest.approx(best[[0, 3]].sum(), abs=1e-5)
    rows = COMMANDS["trade_off"](owner.store, "grid", study.metrics)
    assert len(rows) > 1 and all(row["totals"]["source"]["cc"] <= 0.5 + 1e-6 for row in rows)
    likely = COMMANDS["targets"](owner.store, "grid", {study.metrics[0]: 2.95})["mixtures"][0]
    assert space.contains(np.array([list(likely["shares"].values())]))[0]
    assert likely["totals"]["topic"]["law"] == pytest.approx(likely["shares"]["cc.law"] * 3, abs=1e-5)


def test_what_leaves_says_its_totals(owner, study):
    header = COMMANDS["export"](owner.store, "grid", "olmix")["files"]
    text = "\n".join(header.values())
    assert "By source: cc " in text and "By topic: maths 0." in text


def test_a_mixture_outside_is_named_with_numbers(owner, study):
    said = r"One has group cc 100%, at most 50%; group maths 100%, at most 30%\. Propose again"
    with as_person(SYSTEM), pytest.raises(Problem, match=said):
        COMMANDS["start_proposed"](owner.store, "grid", [[1, 0, 0, 0, 0, 0]])


def test_charts_reports_and_faders_know_the_levels(study):
    names = named_of(study)
    faders = group_faders(names, frame_of_study(study))
    assert [(one.level, one.name, one.low, one.high) for one in faders][:3] == [
        ("source", "cc", 0.2, 0.5),
        ("source", "other", None, None),
        ("topic", "maths", 0.1, 0.3),
    ]
    told = bars("mixture", {"best": [0.1, 0.2, 0.1, 0.2, 0.2, 0.2]}, names)
    assert "by source" in told and "0.4000" in told


def test_the_desk_as_a_file_has_them_too(owner):
    groups = with_names(COMMANDS["desk"](owner.store, "grid"))["groups"]
    assert [(one["level"], one["name"], one["members"]) for one in groups[:2]] == [
        ("source", "cc", [0, 1, 2]),
        ("source", "other", [3, 4, 5]),
    ]


def test_the_way_back_inside_keeps_locked_shares(study):
    space, at = frame_of_study(study).space, np.array([0.9, 0.02, 0.02, 0.02, 0.02, 0.02])
    found = nearest_inside(space, at, [False, False, True, False, False, False])
    assert space.contains(found[None])[0] and found[2] == pytest.approx(0.02, abs=1e-9)
    assert nearest_inside(space, at, [True] + 5 * [False]) is None


def explore() -> None:
    from dashboard.views.understand import explore

    explore.render("grid")


def test_explore_names_what_is_outside_and_leads_back(owner):
    app = AppTest.from_function(explore, default_timeout=60)
    app.query_params["mix"] = "0.9,0.02,0.02,0.02,0.02,0.02"
    app.run()
    assert not app.exception, app.exception
    said = [one.value for one in app.caption if "Outside the study's constraints" in one.value]
    assert said and "group cc 94%, at most 50%; group maths 92%, at most 30%; the ratios of group law" in said[0]
    app.button(key="nearest-inside").click().run()
    assert not any("Outside" in one.value for one in app.caption)
