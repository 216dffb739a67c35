"""Who may do what, asked where the thing is done: every command and every function of the headless part that changes
something refuses a viewer; the owner's own thread is the system; the journal says who did what."""

import contextlib
import inspect
import json

import pytest

from engine.commands import ALIASES, COMMANDS, READ_ONLY, contract
from engine.core.errors import Problem
from engine.core.people import (
    ROLES,
    SYSTEM,
    NotSignedIn,
    Person,
    Refused,
    acting,
    as_person,
    ask_first,
    local_user,
    need,
)
from engine.review import acts, confirming
from engine.service import notices
from engine.service.owner import Owner
from engine.spec.study import StudySpec
from engine.studies import (
    advance,
    confirmations,
    corpora,
    domain_changes,
    flips,
    imports,
    influence,
    jobs,
    lifecycle,
    overlap,
    proposals,
    questions,
    submissions,
    training,
)
from engine.studies.merges import learning
from engine.studies.merges import questions as merge_questions
from store import studies
from store.database import Store
from store.from_journals import rebuild
from tests.store.test_store import everything
from tests.support.running import STUDY, until, write_domains
from tests.support.working import worker

# What a viewer may do: these change nothing for a viewer (a change is not started, a price not written down), or a
# viewer's own tokens.
OWN = {"create_token", "revoke_token", "mark_read"}  # of what is one's own, whatever the role
READS = READ_ONLY | OWN | {"change_domains", "value_source"}
HEADLESS_READS = {
    advance: {
        "can_fit",
        "due_search",
        "fewest",
        "fit_id",
        "fit_is_due",
        "fit_task",
        "goes_on",
        "is_fit_due_after_window",
        "is_settled",
        "manifest_of",
        "passes_of",
        "planned",
        "surrogates_of",
        "text_of",
        "will_be_planned",
    },
    lifecycle: {"same_study"},
    jobs: {"known_job", "blocked_on", "add_to"},
    corpora: {"opened"},
    training: {"training_jobs", "expected_roles", "vocabulary_of", "trainable", "plannable", "costs"},
    proposals: set(),
    flips: {"flips_due", "flips_to_come"},
    influence: {"influences", "row_of_metric", "row_of_domain", "judgements"},
    overlap: {
        "vanishing",
        "overlap_jobs",
        "counted",
        "corpus_is_private",
        "kept_of",
        "metric_of",
        "without",
        "items_of",
        "gain",
        "best_gain",
        "guessed_or_none",
    },
    questions: {
        "question_of",
        "job_id_of",
        "checked_prices",
        "checked_limits",
        "limits_in",
        "search_job",
        "search_task",
        "surrogate_file",
        "with_optimism",
    },
    imports: {"imported_file", "tables_of", "preview", "fitted", "predict"},
    domain_changes: {"plan_change", "same_text", "opened", "carried", "spec_on"},
    confirmations: {"plan_confirmation", "labelled", "spread_of", "confirmations", "scale_check"},
    merge_questions: {
        "known_runs",
        "merge_spec",
        "task_of",
        "checked_points",
        "check_search",
        "points_of",
        "short_hash",
        "tensors_of",
    },
    submissions: {"check_once", "answers_by_task"},
    learning: {"weight_of"},
    acts: {"names_taken", "refuse_repeated", "checked_text", "is_only_user"},
    confirming: {"plans"},
    notices: {"over", "why_stopped", "stopped", "post", "escaped", "webhook_of"},
}
VIEWER = Person("vera@example.org", "viewer")


def refused(function, person: Person) -> bool:
    """Whether somebody's role is in the way, whatever the arguments are."""
    required = [one for one in inspect.signature(function).parameters.values() if one.default is one.empty]
    given = [None for one in required if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    try:
        with as_person(person):
            function(*given)
    except Refused as why:
        assert person.name in str(why) and person.role in str(why)
        return True
    except Exception:
        return False
    return False


def public(module) -> dict:
    """The functions that a module defines itself."""
    return {
        name: function
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_a_viewer_is_refused_by_every_command_that_changes_something(name):
    assert refused(COMMANDS[name], VIEWER) == (name not in READS)


def test_the_list_of_what_reads_is_of_commands_that_exist():
    assert set(COMMANDS) >= READS


@pytest.mark.parametrize("name", COMMANDS)
def test_an_operator_is_refused_by_no_command(name):
    assert not refused(COMMANDS[name], Person("olga@example.org", "operator"))


@pytest.mark.parametrize("module", HEADLESS_READS, ids=lambda module: module.__name__)
def test_a_viewer_is_refused_where_the_thing_is_done(module):
    reads = HEADLESS_READS[module]
    assert {name for name, function in public(module).items() if not refused(function, VIEWER)} <= reads


def test_what_reads_is_left_alone(store):
    """A viewer changes nothing: no line is written by anything that they may call."""
    with as_person(SYSTEM):
        lifecycle.create(store, StudySpec.from_dict({"name": "S", "corpus": "default"}))
    journal = store.journal.folder / "events.jsonl"
    before = journal.read_bytes()
    for name in READS - OWN:
        known = {"name": "S", "metrics": ["x"], "limits": {}, "weights": [{"x": 1}], "candidates": ["x", "y"]}
        known |= {"job_id": "x", "format": "csv", "corpus": "default"}
        asked = inspect.signature(COMMANDS[name]).parameters.values()
        wanted = {one.name: known.get(one.name, "x") for one in asked if one.default is one.empty}
        wanted = {one: value for one, value in wanted.items() if one not in ("store", "columns")}
        with as_person(VIEWER), contextlib.suppress(Problem):
            COMMANDS[name](store, **wanted)
    assert journal.read_bytes() == before


def test_starting_a_change_takes_an_operator():
    with as_person(VIEWER), pytest.raises(Refused, match="change the domains"):
        COMMANDS["change_domains"](None, "x", "y", start=True)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("wanted", ROLES)
def test_roles_rise(role, wanted):
    with as_person(Person("somebody", role)):
        if ROLES.index(role) >= ROLES.index(wanted):
            assert need(wanted, "do it").role == role
        else:
            with pytest.raises(Refused, match=f"Cannot do it: somebody is a {role} here.*the role {wanted}"):
                need(wanted, "do it")


def test_who_acts():
    assert acting() == local_user() and local_user().role == "operator"
    try:
        ask_first(lambda: VIEWER)
        assert acting() == VIEWER
        with as_person(SYSTEM):
            assert acting() == SYSTEM
        ask_first(lambda: None)
        assert acting() == local_user()

        def nobody():
            raise NotSignedIn("Sign in.")

        ask_first(nobody)
        with pytest.raises(NotSignedIn):
            need("viewer", "look")
    finally:
        ask_first(lambda: None)


@pytest.mark.slow
def test_the_owners_thread_goes_on_where_nobody_is_signed_in(workspace, tmp_path):
    """Its own thread is the system, whatever the page says of its sessions; people's lines bear their names, and a
    rebuild gives the same tables."""
    write_domains(tmp_path / "text")

    def nobody():
        raise NotSignedIn("Sign in.")

    ask_first(nobody)
    owner = Owner(workspace)
    try:
        with as_person(Person("olga@example.org", "operator")):
            source = {"source": {"type": "folder", "path": str(tmp_path / "text")}}
            corpora.build_corpus(owner.store, "small", source)
            (tmp_path / "study.toml").write_text(STUDY)
            study = lifecycle.create(owner.store, StudySpec.from_toml(tmp_path / "study.toml"))
        with worker(owner.store.spool):
            until(lambda: studies.get(owner.store, study).domains)
        with as_person(Person("olga@example.org", "operator")):
            lifecycle.cancel(owner.store, study)
        lines = list(map(json.loads, (owner.store.journal.folder / "events.jsonl").read_text().splitlines()))
        by = {line["kind"]: line["by"] for line in lines}
        assert all("t" in line for line in lines)
        assert {by["study.created"], by["corpus.planned"], by["study.cancelled"]} == {"olga@example.org"}
        assert by["study.planned"] == SYSTEM.name
    finally:
        owner.close()
        ask_first(lambda: None)
    live = Store(workspace)  # once the owner's thread has ended: it may have read on in between
    live.ingest()
    before = everything(live)
    live.close()
    rebuild(workspace, tmp_path / "again.duckdb")
    again = Store(workspace, tmp_path / "again.duckdb")
    assert everything(again) == before
    again.close()


def test_commands_of_before_go_on_under_their_old_names(tmp_path):
    assert set(ALIASES.values()) <= set(COMMANDS) and not set(ALIASES) & set(COMMANDS)
    for former, today in ALIASES.items():
        with pytest.raises(Problem, match=f"arguments of {today}"):
            contract.call(None, former, {"unheard_of": 1})
