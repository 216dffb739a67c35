"""The page Tasks: scores with chance and intervals, answers of two runs, the form, and nothing of a private task."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from dashboard.views.shared import plot
from dashboard.views.shared.text import plain
from engine.commands import COMMANDS
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.jobs.decisions import JobPlanned
from engine.service.owner import Owner
from engine.studies import steering, task_scores, tasks
from engine.studies.measured import aggregate_of
from engine.tasks import outcomes, shelf
from engine.tasks.generated import generate
from store import jobs, studies
from tests.support import nasty
from tests.support.nasty import tell
from tests.support.running import copied

SECRET = "what nobody may see"


@pytest.fixture(scope="module")
def owner(tasked, tmp_path_factory):
    logging.getLogger("streamlit").setLevel(logging.ERROR)
    opened = Owner(Workspace.open(copied(tasked, tmp_path_factory.mktemp("page") / "workspace")))
    state.use(opened)
    yield opened
    state.use(None)
    opened.close()


def page(study: str | None) -> None:
    import streamlit as st

    from dashboard.views import pages_for

    st.session_state["pages"] = {}
    pages_for("mixture")["tasks"].function()(study)


def drawn(study: str | None, **session) -> AppTest:
    found = AppTest.from_function(page, args=(study,), default_timeout=120)
    for key, value in session.items():
        found.session_state[key] = value
    found.run()
    assert not found.exception, found.exception
    return found


def texts(found: AppTest) -> str:
    return "\n".join(str(one.value) for kind in (found.caption, found.markdown, found.error) for one in kind)


def study_named(owner) -> studies.Study:
    return next(one for one in studies.all_studies(owner.store) if one.name == "Tasked")


def study_of(owner) -> str:
    return study_named(owner).id


def test_scores_stand_beside_chance_with_what_they_rest_on(owner, monkeypatch):
    figures = []
    real = plot.draw
    monkeypatch.setattr(plot, "draw", lambda figure, *more: [figures.append(figure), real(figure, *more)][1])
    found = drawn(study_of(owner))
    (accuracy, bits) = [one for one in figures if "runs, sorted by score" in one.to_json()]
    assert "chance, 0.333" in accuracy.to_json() and "chance" not in bits.to_json()
    assert len(accuracy.data[0].error_y.array) == len(accuracy.data[0].y) >= 8
    said = texts(found)
    assert "40 items. Higher is better." in said and "40 items. Lower is better." in said
    assert "Whether the mixture steers it is not known" in said, "no mixture was trained twice"
    assert "The part of the items whose likeliest choice" in said, "for whoever never met accuracy"
    (one, other) = (found.selectbox(key=f"answers-{which}").options for which in ("one", "other"))
    assert any(run.endswith(" (natural)") for run in one) and one == other


def test_answers_of_two_runs_stand_side_by_side(owner):
    """The second run is made to answer three items in another way than it did."""
    study = study_of(owner)
    second = task_scores.scored(owner.store, study_named(owner), "brackets")[0].ids[1]
    other = outcomes.file_of(owner.store.workspace.root, second)
    kept = outcomes.load(other)["brackets"]
    kept.scores[:3] = 1 - kept.scores[:3]
    outcomes.save(other, {"brackets": kept})
    found = drawn(study)
    table = next(one.value for one in found.dataframe if "right answer" in one.value and "choices" not in one.value)
    assert len(table) == 20 and {*table["right answer"]} <= {")", "]", "}"}
    runs = [name for name in table.columns if name.startswith("score of ")]
    assert len(runs) == 2 and {*table[runs[0]]} <= {0.0, 1.0}
    hit = table[table[runs[0]] == 1.0]
    assert (hit[runs[0].removeprefix("score of ")] == hit["right answer"]).all()
    found.toggle(key="answers-differ").set_value(True).run()
    only = next(one.value for one in found.dataframe if "right answer" in one.value and "choices" not in one.value)
    assert (only[runs[0]] != only[runs[1]]).all() and len(only) == 3


def test_items_that_did_not_fit_are_counted_beside_the_answers(owner):
    """Of the second run, which is made to have lost some."""
    second = task_scores.scored(owner.store, study_named(owner), "brackets")[0].ids[1]
    path = outcomes.file_of(owner.store.workspace.root, second)
    kept = outcomes.load(path)["brackets"]
    kept.scores[5:7] = np.nan
    outcomes.save(path, {"brackets": replace(kept, cut=1)})
    said = texts(drawn(study_of(owner)))
    assert "2 items did not fit its context and were left out; 1 item lost the beginning of the prompt." in said
    assert said.count("did not fit its context") == 1


def test_items_in_training_text_are_shown_and_a_gain_by_heart_is_said(owner):
    """Half of the items are said to stand in a domain; of the two runs that are compared at first, the second is made
    to know just those better."""
    store, study = owner.store, study_named(owner)
    one, other = task_scores.scored(store, study, "brackets")[0].ids[:2]
    for run, better in ((one, 0), (other, 20)):
        path = outcomes.file_of(store.workspace.root, run)
        kept = outcomes.load(path)["brackets"]
        kept.items["answer_bits"][:, 0] = np.where(np.arange(40) < better, 0.1, 4.0)
        outcomes.save(path, {"brackets": kept})
    said = texts(drawn(study.id))
    assert "0 of 40 items have 48 bytes in a row" in said and "40 items cannot be told, being too short" in said
    tell_overlap(store, study)
    found = drawn(study.id)
    said = "\n".join(one.value for one in found.warning)
    assert f"The gain vanishes: {plain(other)} is" in said and "20 of 40 items left" in said
    table = next(one.value for one in found.dataframe if "with their answer" in one.value)
    assert table["items"].sum() == 20
    found.toggle(key="without-brackets").set_value(True).run()
    assert not found.exception
    assert "Items 1, 2, 3" in texts(found)
    found.text_input(key="clean-name-brackets").set_value("cleaned").run()
    found.button(key="clean-brackets").click().run()
    assert len(shelf.load(store.workspace.root, "cleaned").items) == 20


def test_a_gain_that_vanishes_is_said_wherever_the_metric_counts(owner):
    """The best run by its bits is made to know the first half of the items better than the baseline, and no others."""
    store, study = owner.store, study_named(owner)
    (bits,) = [one for one in task_scores.scored(store, study, "brackets") if "bits" in one.objective.metric]
    best, base = bits.ids[int(np.nanargmin(bits.values))], bits.ids[bits.roles.index("baseline")]
    assert best != base
    for run, better in ((base, 0), (best, 20)):
        path = outcomes.file_of(store.workspace.root, run)
        kept = outcomes.load(path)["brackets"]
        kept.items["answer_bits"][:, 0] = np.where(np.arange(40) < better, 0.1, 4.0)
        outcomes.save(path, {"brackets": kept})
    tell_overlap(store, study, "once-more")
    metric = bits.objective.metric
    counts = aggregate_of(store, study, {metric: 1.0})
    (said,) = [words for words in steering.warnings(store, study, counts) if "vanishes" in words]
    assert f"{metric} counts, and the gain of its best run ({best}) over {base} vanishes" in said
    assert "on all 40" in said and "on the 20 others" in said
    ignored = aggregate_of(store, study, {metric: 0.0})
    assert not any("vanishes" in words for words in steering.warnings(store, study, ignored))
    assert any("has a limit, and the gain" in words for words in steering.warnings(store, study, ignored, {metric}))


def tell_overlap(store, study: studies.Study, job: str = "again") -> None:
    """A later count of the same task says that the first half of its items stands in a domain."""
    domains = list(study.corpus["domains"])
    asked = {"study": study.id, "corpus": study.spec["corpus"], "domains": domains, "tasks": ["brackets"]}
    store.write(JobPlanned(job, {"kind": "overlap", **asked}, study.id))
    store.spool.submit({"kind": "overlap", **asked}, job)
    places = {name: [] for name in domains} | {domains[0]: [*range(20)]}
    found = {"brackets": {"items": 40, "untold": [], "domains": places, "answered": places}}
    told = {"kind": "overlap.counted", "study": study.id, "settings": asked, "found": {"tasks": found}, "t": 1e10}
    nasty.tell(store, job, {"kind": "job.started"}, told)


def test_samples_of_runs_that_were_sent_stand_beside_each_other(owner):
    """In a study of Mixdesk's own proxies, which measures another task."""
    store, study = owner.store, study_named(owner)
    weights = {name: 1 / len(study.domains) for name in study.domains}
    sent = [
        {
            "id": f"sent-{said}",
            "weights": weights,
            "losses": {study.metrics[0]: 2.0 + place},
            "samples": {"sums": [{"prompt": f"{k} + {k} =", "right": "2", "answer": said, "score": k} for k in (0, 1)]},
        }
        for place, said in enumerate(("two", "zwei"))
    ]
    with as_person(SYSTEM):
        assert COMMANDS["submit_runs"](store, study.id, sent)["samples"] == {"sums": 2}
    found = drawn(study.id, **{"task-of-study": "sums"})
    table = next(one.value for one in found.dataframe if "right answer" in one.value and "choices" not in one.value)
    assert [*table["question"]] == ["0 + 0 =", "1 + 1 ="] and "two" in table.to_string() and "zwei" in table.to_string()
    assert "Whether these items stand in the text" not in texts(found), "they are of runs whose text is not here"


def test_a_private_task_shows_none_of_its_text(owner):
    base = generate("brackets", "hidden", 5, 0)
    items = [type(item)(SECRET + item.prompt, [], item.choices, item.scores) for item in base.items]
    tasks.add(owner.store, type(base)("hidden", base.metrics, items, "by hand"), tasks.How(private=True))
    found = drawn(None, **{"task-shown": "hidden"})
    assert "This task is private" in texts(found)
    assert SECRET not in texts(found) and not any(SECRET in str(one.value.to_dict()) for one in found.dataframe)


def test_what_a_study_measures_cannot_be_removed(owner):
    buttons = {one.key for one in drawn(None, **{"task-shown": "brackets"}).button}
    assert "remove-brackets" not in buttons
    assert "remove-hidden" in {one.key for one in drawn(None, **{"task-shown": "hidden"}).button}


def test_a_workspace_without_tasks_leads_on(owner, workspace):
    empty = Owner(workspace)
    state.use(empty)
    try:
        assert any("No tasks yet" in one.value for one in drawn(None).info)
    finally:
        state.use(owner)
        empty.close()


def form_of_a_harness() -> None:
    from dashboard.views.measure.harness import form

    form()


def test_results_of_a_harness_stand_in_a_table_and_the_form_queues_a_run(owner):
    store, root = owner.store, owner.store.workspace.root
    assert "asks language models and saved proxies" in texts(drawn(None))
    (root / "checkpoints/tiny").mkdir(parents=True, exist_ok=True)
    (root / "checkpoints/tiny/config.json").write_text("{}")
    (root / "harness").mkdir()
    (root / "harness/colours.yaml").write_text("task: colours")
    assert "Run a harness" in {one.label for one in drawn(None).button}
    found = AppTest.from_function(form_of_a_harness, default_timeout=60).run()
    assert found.button[0].disabled, "no task is named yet"
    found.selectbox[0].set_value("checkpoints/tiny")
    found.multiselect[0].set_value(["colours.yaml"]).run()
    found.button[0].click().run()
    assert not found.exception, found.exception
    (job,) = jobs.of_kind(store, "harness")
    score = {"metric": "colours acc", "value": 0.5, "error": 0.1, "higher_is_better": True, "chance": 0.25, "items": 8}
    measured = {"scores": [score], "file": "f", "version": "0.4.13", "context": 64, "cut": 2, "left": []}
    asked = {"model": "checkpoints/tiny", "tasks": ["colours.yaml"], "limit": None, "study": None}
    tell(store, job.id, {"kind": "job.started"}, {"kind": "harness.finished", **asked, "found": measured})
    found = drawn(None)
    table = next(one.value for one in found.dataframe if "checkpoints/tiny" in one.value)
    assert table["checkpoints/tiny"].tolist() == ["0.500 ± 0.196 (n 8)"] and table["chance"].tolist() == ["0.25"]
    assert "2 prompts lost the beginning to fit 64 tokens" in texts(found)
