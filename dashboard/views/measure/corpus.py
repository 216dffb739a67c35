"""Corpus: the text of each domain with sizes, examples and leak; and the form that builds one from own text."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import components
from dashboard.charts import mixtures as charts
from dashboard.server import state
from dashboard.views.shared import study as parts
from engine.core.errors import Problem
from engine.studies.corpora import build_corpus
from engine.studies.jobs import cancel_job, retry
from store import corpora, jobs, studies


def render(study: str | None) -> None:
    head, button = st.columns([5, 1], vertical_alignment="bottom")
    head.title("Corpus")
    wanted = {"type": "primary", "icon": ":material/add:", "width": "stretch"}
    if button.button("New corpus", **wanted, **parts.takes("operator")):
        new_corpus()
    names = corpora.names(state.store())
    if not names:
        st.info("No corpus yet. It is built when the first study starts, or with **New corpus**.")
        return
    of_study = studies.get(state.store(), study).spec["corpus"] if study else names[0]
    if st.session_state.get("corpus") not in names:
        st.session_state["corpus"] = of_study if of_study in names else names[0]
    name = st.selectbox("Corpus", names, key="corpus") if len(names) > 1 else names[0]
    parts.live(lambda: one_corpus(name))


def one_corpus(name: str) -> None:
    """A corpus: how far its building is, or what it holds."""
    job = jobs.find(state.store(), f"corpus-{name}")
    manifest = corpora.manifest(state.store(), name)
    if job and job.state in jobs.UNFINISHED:
        building(name, job)
    elif job and job.state in ("failed", "cancelled"):
        parts.refusal(job.message or "Building was cancelled; what was read is kept.")
        if st.button("Try again", icon=":material/replay:", **parts.takes("operator")):
            retry(state.store(), job.id)
            st.rerun()
    if manifest:
        built(manifest)


def building(name: str, job: jobs.JobRow) -> None:
    """Progress of a build."""
    st.progress(min(1.0, job.done / job.total) if job.total else 0.0, text=job.note or job.state)
    if st.button("Cancel", icon=":material/stop_circle:", key=f"cancel-corpus-{name}", **parts.takes("operator")):
        cancel_job(state.store(), job.id)
        st.rerun()


def built(manifest: dict) -> None:
    """Sizes, leak, duplicates and examples of a corpus."""
    domains = manifest["domains"]
    names = list(domains)
    colours = charts.colour_of(names)
    left, right = st.columns([3, 2])
    with left:
        st.subheader("Text per domain", anchor=False)
        train, valid = (np.array([domains[n][f"{side}_bytes"] for n in names]) for side in ("train", "valid"))
        components.plot(charts.sizes(names, colours, train, valid), key="sizes")
    with right:
        st.subheader("What was done", anchor=False)
        st.markdown(summary(manifest))
    st.subheader("Domains", anchor=False)
    st.dataframe(table(domains), hide_index=True, column_config=COLUMNS)
    st.caption(
        "Leak: the share of 48-byte windows of held-out text that also stand somewhere in the training text, of its "
        "own domain and of any. Duplicates were dropped before the split; the split is by a hash of the file's path."
    )
    st.subheader("Examples of held-out text", anchor=False)
    for tab, name in zip(st.tabs(names), names, strict=True):
        for example in domains[name]["examples"]:
            tab.code(example, language=None, wrap_lines=True)


COLUMNS = {
    "leak, own": st.column_config.NumberColumn(format="percent"),
    "leak, any": st.column_config.NumberColumn(format="percent"),
    "train, MB": st.column_config.NumberColumn(format="%.2f"),
    "held out, MB": st.column_config.NumberColumn(format="%.2f"),
}


def table(domains: dict) -> pd.DataFrame:
    """One row a domain."""
    return pd.DataFrame(
        [
            {
                "domain": name,
                "documents": d["documents"],
                "train, MB": d["train_bytes"] / 1e6,
                "held out, MB": d["valid_bytes"] / 1e6,
                "train tokens": d["train_tokens"],
                "leak, own": d["leak"]["own"],
                "leak, any": d["leak"]["any"],
                "exact duplicates dropped": d["duplicates"]["exact"],
                "near duplicates dropped": d["duplicates"]["near"],
                "files filtered": d["filtered"],
            }
            for name, d in domains.items()
        ]
    )


def summary(manifest: dict) -> str:
    """What stands behind a corpus, in a few lines."""
    tokenizer = manifest["tokenizer"]
    lines = [
        f"- Source: **{manifest['spec']['source']['type']}**, at most {manifest['spec']['cap_mb']:g} MB a domain",
        f"- Tokens: **{tokenizer['type']}**, vocabulary {tokenizer['vocabulary']:,}; losses are in bits per byte, "
        "whatever the tokens",
        f"- Built in {manifest['seconds']:.0f} s",
    ]
    if manifest.get("missing"):
        lines.append(f"- Not found on this machine: {', '.join(manifest['missing'])}")
    return "\n".join(lines)


@st.dialog("New corpus", width="large")
def new_corpus() -> None:
    """Ask where the text is, then queue the build."""
    st.markdown("The text stays where it is; the workspace gets token shards. Nothing leaves this machine.")
    left, right = st.columns(2)
    name = left.text_input("Name", "my-text", max_chars=64)
    kind = right.selectbox("Source", list(SOURCES), format_func=SOURCES.get)
    source = ask_source(kind)
    left, right = st.columns(2)
    tokens = left.selectbox("Tokens", ["bytes", "bpe", "file"], format_func=TOKENIZERS.get)
    cap = right.number_input("At most, MB a domain", 0.1, 1e6, 8.0)
    tokenizer = {"type": tokens}
    if tokens == "bpe":
        tokenizer["vocabulary"] = st.number_input("Vocabulary", 300, 100_000, 2048)
    if tokens == "file":
        tokenizer["path"] = st.text_input("Path of tokenizer.json")
    if st.button("Build", type="primary", icon=":material/build:", **parts.takes("operator")):
        try:
            build_corpus(state.store(), name, {"source": source, "tokenizer": tokenizer, "cap_mb": cap})
        except Problem as problem:
            parts.refusal(problem)
            return
        st.session_state["corpus"] = name
        st.rerun()


SOURCES = {
    "folder": "A folder per domain (or a file per domain)",
    "files": "Files that I name",
    "default": "Text of this machine (the demo's)",
    "huggingface": "Hugging Face data sets",
}
TOKENIZERS = {"bytes": "Bytes", "bpe": "BPE, trained on this corpus", "file": "A given tokenizer.json"}


def ask_source(kind: str) -> dict:
    """The fields of one kind of source."""
    if kind == "default":
        return {"type": "default"}
    column = st.text_input("Column of the text", "text", help="For jsonl, parquet and csv.")
    if kind == "folder":
        path = st.text_input("Folder", str(Path.home()), help="One folder or file per domain inside it.")
        return {"type": "folder", "path": os.path.expanduser(path), "text": column}
    label = "Domains: one line each, name = " + ("path" if kind == "files" else "data set")
    lines = [line.partition("=") for line in st.text_area(label).splitlines() if line.strip()]
    values = {domain.strip(): value.strip() for domain, _, value in lines}
    if kind == "files":
        return {"type": "files", "files": values, "text": column}
    return {
        "type": "huggingface",
        "datasets": {d: {"name": value, "text": column} for d, value in values.items()},
    }
