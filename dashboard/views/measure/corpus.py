"""Corpus: sizes, examples and train/validation overlap of each domain."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import runs as run_charts
from dashboard.models.colours import colour_of
from dashboard.server import state
from dashboard.views.measure.new_corpus import CHANGED, new_corpus
from dashboard.views.shared.buttons import cancel_button, needs_role
from dashboard.views.shared.finding import asked
from dashboard.views.shared.live import live
from dashboard.views.shared.plot import plot
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.text import plain, refusal
from engine.corpus.report import report
from engine.studies.corpora import mark_corpus
from engine.studies.jobs import cancel_job, retry
from store import corpora, jobs, studies

ACTS = "corpus"  # under which refusals of what is done to a build are kept


def render(study: str | None) -> None:
    head, button = st.columns([5, 1], vertical_alignment="bottom")
    head.title("Corpus")
    style = {"type": "primary", "icon": ":material/add:", "width": "stretch"}
    if button.button("New corpus", **style, **needs_role("operator")) or asked("new-corpus"):
        new_corpus()
    names = corpora.names(state.store())
    if not names:
        st.info("No corpus yet. The first study builds one, or use **New corpus**.")
        return
    of_study = studies.get(state.store(), study).spec["corpus"] if study else names[0]
    if st.session_state.get("corpus") not in names:
        st.session_state["corpus"] = of_study if of_study in names else names[0]
    name = st.selectbox("Corpus", names, key="corpus") if len(names) > 1 else names[0]
    live(lambda: one_corpus(name))
    if (changed := st.session_state.pop(CHANGED, None)) in names:
        new_corpus(changed, corpora.spec(state.store(), changed) or {})


def one_corpus(name: str) -> None:
    """A corpus: the progress of its build, or its contents."""
    job = corpora.job(state.store(), name)
    manifest = corpora.manifest(state.store(), name)
    show_refusal(ACTS)
    if job and job.state in jobs.UNFINISHED:
        building(name, job)
    elif job and job.state in ("failed", "cancelled"):
        refusal(job.message or "The build was cancelled; what it has read so far is kept.")
        with st.container(horizontal=True):
            again = st.button("Retry", icon=":material/replay:", **needs_role("operator"))
            spec = corpora.spec(state.store(), name) or {}
            folder = not manifest and spec.get("source", {}).get("type") == "folder"
            change = folder and st.button("Change", icon=":material/edit:", **needs_role("operator"))
        if again:
            act(ACTS, lambda: retry(state.store(), job.id))
        if change:
            st.session_state[CHANGED] = name
            st.rerun(scope="app")
    if manifest:
        built(manifest)
        examples(name, manifest["domains"])


def building(name: str, job: jobs.JobRow) -> None:
    """Progress of a build."""
    st.progress(min(1.0, job.done / job.total) if job.total else 0.0, text=job.note or job.state)
    if cancel_button(job, f"cancel-corpus-{name}"):
        act(ACTS, lambda: cancel_job(state.store(), job.id))


def built(manifest: dict) -> None:
    """Sizes, overlap and duplicates of a corpus."""
    domains = manifest["domains"]
    names = list(domains)
    colours = colour_of(names)
    left, right = st.columns([3, 2])
    with left:
        st.header("Text per domain", anchor=False)
        train, valid = (np.array([domains[n][f"{side}_bytes"] for n in names]) for side in ("train", "valid"))
        plot(run_charts.sizes(names, colours, train, valid), key="sizes")
    with right:
        st.header("How it was built", anchor=False)
        st.markdown(summary(manifest))
    st.header("Domains", anchor=False)
    st.dataframe(table(domains), hide_index=True, column_config=COLUMNS)
    st.caption(
        "Overlap: the fraction of 48-byte windows of validation text that also occur in training text, of the same "
        "domain or of any. Duplicates were dropped before the split, which is by a hash of each file's path."
    )
    files(report(manifest))


def examples(name: str, domains: dict) -> None:
    """Beginnings of some documents, unless the corpus is private, and the button that makes it so, or not any more."""
    private, store = corpora.is_private(state.store(), name), state.store()
    st.header("Examples of validation text", anchor=False)
    if private:
        st.caption(":material/lock: This corpus is private: none of its text is shown, in pages, files or answers.")
    elif domains:
        for tab, domain in zip(st.tabs([plain(one) for one in domains]), domains, strict=True):
            for example in domains[domain]["examples"]:
                tab.code(example, language=None, wrap_lines=True)
    style = {"icon": ":material/lock_open:" if private else ":material/lock:", **needs_role("operator")}
    if st.button("Show its text again" if private else "Make it private", key=f"mark-{name}", **style):
        act(ACTS, lambda: mark_corpus(store, name, not private))


def files(facts: dict) -> None:
    """Which files were read, which were left out, and why."""
    if not facts["text"]:
        return
    st.header("Files", anchor=False)
    st.text(facts["text"])
    left = [{"file": one["path"], "domain": one["domain"], "why": one["reason"]} for one in facts["left_out"]]
    bad = [{"file": one["path"], "domain": one["domain"], "why": one["reason"]} for one in facts["skipped"]]
    read = [{"file": path, "domain": name} for name, own in facts["files"].items() for path in own["paths"]]
    warnings = [{"file": one["path"], "domain": one["domain"], "what": one["reason"]} for one in facts["noticed"]]
    for title, rows in (
        ("Warnings", warnings),
        ("Left out", left),
        ("Could not be read, or not all of it", bad),
        ("Read", read),
    ):
        if rows:
            with st.expander(title, key=f"files-{title}"):
                st.dataframe(pd.DataFrame(rows), hide_index=True)


COLUMNS = {
    "predicted": st.column_config.NumberColumn(
        format="percent", help="Of the training text's bytes: of conversations only what the model says."
    ),
    "overlap, own domain": st.column_config.NumberColumn(format="percent"),
    "overlap, any domain": st.column_config.NumberColumn(format="percent"),
    "documents": st.column_config.NumberColumn(format="localized"),
    "train tokens": st.column_config.NumberColumn(format="localized"),
    "tokens there are": st.column_config.NumberColumn(
        format="localized", help="Of pre-tokenised text, by its files' headers: the sample is drawn from these."
    ),
    "train, MB": st.column_config.NumberColumn(format="%.2f"),
    "validation, MB": st.column_config.NumberColumn(format="%.2f"),
}


def table(domains: dict) -> pd.DataFrame:
    """One row per domain."""
    found = pd.DataFrame(
        [
            {
                "domain": name,
                "documents": d["documents"],
                "train, MB": d["train_bytes"] / 1e6,
                "validation, MB": d["valid_bytes"] / 1e6,
                "train tokens": d["train_tokens"],
                "predicted": predicted(d),
                "tokens there are": d.get("available_tokens"),
                "letters": letters(d.get("alphabets")),
                "read whole": {True: "yes", False: "no: a sample"}.get(d.get("whole"), "unknown"),
                "overlap, own domain": d["leak"]["own"],
                "overlap, any domain": d["leak"]["any"],
                "exact duplicates dropped": d["duplicates"]["exact"],
                "near duplicates dropped": d["duplicates"]["near"],
                "files filtered": d["filtered"],
            }
            for name, d in domains.items()
        ]
    )
    return found if found["tokens there are"].notna().any() else found.drop(columns="tokens there are")


TOKENIZERS = {"ids": "not given"}
LOSSES = {
    "any": "losses are in bits per byte, whatever the tokenizer",
    "ids": "losses are in nats per token, which no other tokenizer's compare with, and a MB here is a million tokens",
}


def letters(parts: dict[str, float] | None) -> str:
    """In which scripts and alphabets a domain is written: those of at least a twentieth of its letters."""
    if parts is None:
        return "unknown"
    return ", ".join(f"{name} {part:.0%}" for name, part in parts.items() if part >= 0.05) or "few"


def predicted(facts: dict) -> float:
    """The fraction of a domain's training text that a model has to predict."""
    return facts["answers"]["train"] / facts["train_bytes"] if "answers" in facts else 1.0


def summary(manifest: dict) -> str:
    """How a corpus was built, in a few lines."""
    tokenizer, spec = manifest["tokenizer"], manifest["spec"]
    lines = [
        f"- Source: **{plain(spec['source']['type'])}**, up to {spec['cap_mb']:g} MB per domain",
        f"- Tokenizer: **{plain(TOKENIZERS.get(tokenizer['type'], tokenizer['type']))}**, vocabulary "
        f"{tokenizer['vocabulary']:,}; {LOSSES.get(tokenizer['type'], LOSSES['any'])}",
        f"- Built in {manifest['seconds']:.0f} s",
    ]
    if manifest.get("missing"):
        lines.append(f"- Not found on this machine: {plain(', '.join(manifest['missing']))}")
    return "\n".join(lines)
