"""Corpus: sizes, examples and train/validation overlap of each domain; and the form that builds one from own text."""

import os

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import runs as run_charts
from dashboard.models.colours import colour_of
from dashboard.server import state
from dashboard.views.shared.buttons import cancel_button, needs_role, say_if_there
from dashboard.views.shared.dialogs import dialog
from dashboard.views.shared.finding import asked
from dashboard.views.shared.live import live
from dashboard.views.shared.plot import plot
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.text import plain, refusal
from engine.core.errors import Problem
from engine.core.short_names import counted, listed
from engine.corpus.layouts import READ, of_folder
from engine.corpus.report import report
from engine.corpus.spec import CorpusSpec
from engine.corpus.texts import WholeDomainsLeft
from engine.studies.corpora import build_corpus, keep_text, mark_corpus
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
            with st.expander(title):
                st.dataframe(pd.DataFrame(rows), hide_index=True)


COLUMNS = {
    "overlap, own domain": st.column_config.NumberColumn(format="percent"),
    "overlap, any domain": st.column_config.NumberColumn(format="percent"),
    "documents": st.column_config.NumberColumn(format="localized"),
    "train tokens": st.column_config.NumberColumn(format="localized"),
    "train, MB": st.column_config.NumberColumn(format="%.2f"),
    "validation, MB": st.column_config.NumberColumn(format="%.2f"),
}


def table(domains: dict) -> pd.DataFrame:
    """One row per domain."""
    return pd.DataFrame(
        [
            {
                "domain": name,
                "documents": d["documents"],
                "train, MB": d["train_bytes"] / 1e6,
                "validation, MB": d["valid_bytes"] / 1e6,
                "train tokens": d["train_tokens"],
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


def summary(manifest: dict) -> str:
    """How a corpus was built, in a few lines."""
    tokenizer, spec = manifest["tokenizer"], manifest["spec"]
    lines = [
        f"- Source: **{plain(spec['source']['type'])}**, up to {spec['cap_mb']:g} MB per domain",
        f"- Tokenizer: **{plain(tokenizer['type'])}**, vocabulary {tokenizer['vocabulary']:,}; losses are in bits per "
        "byte, whatever the tokenizer",
        f"- Built in {manifest['seconds']:.0f} s",
    ]
    if manifest.get("missing"):
        lines.append(f"- Not found on this machine: {plain(', '.join(manifest['missing']))}")
    return "\n".join(lines)


@dialog("New corpus", width="large")
def new_corpus(name: str = "my-text", before: dict | None = None) -> None:
    """Ask for the source of the text, then queue the build. before: the spec of a build that failed."""
    st.markdown(
        "The workspace gets token shards. Files on the machine of Mixdesk stay where they are; those "
        "from your own computer are kept in the workspace. Nothing is sent anywhere else."
    )
    name, spec = ask(name, before)
    if st.button("Build", type="primary", icon=":material/build:", **needs_role("operator")):
        try:
            asked = build_corpus(state.store(), name, spec)
        except WholeDomainsLeft as problem:
            source = spec["source"]
            st.session_state[LOST] = {"path": source["path"], "domains": [*source.get("without", ()), *problem.domains]}
            st.session_state[REFUSED] = str(problem)
            st.rerun(scope="fragment")
        except Problem as problem:
            refusal(problem)
            return
        st.session_state["corpus"] = name
        say_if_there(asked.already_there)
        st.rerun()


def ask(name: str, before: dict | None) -> tuple[str, dict]:
    """The form: a name, and every setting of a CorpusSpec, at first as they were in a build that failed."""
    start = CorpusSpec(**{"source": {"type": "folder", "path": ""}, **(before or {})})
    left, right = st.columns(2)
    name = left.text_input("Name", name, max_chars=64)
    kind = right.selectbox("Source", list(SOURCES), list(SOURCES).index(start.source["type"]), format_func=SOURCES.get)
    source = ask_source(kind, start.source if kind == start.source["type"] else {}, before is not None)
    left, right = st.columns(2)
    place = list(TOKENIZERS).index(start.tokenizer["type"])
    tokenizer = {"type": left.selectbox("Tokenizer", list(TOKENIZERS), place, format_func=TOKENIZERS.get)}
    cap = right.number_input(
        "Limit, MB per domain", min(0.1, start.cap_mb), max(1e6, start.cap_mb), float(start.cap_mb)
    )
    if tokenizer["type"] == "bpe":
        size = start.tokenizer.get("vocabulary", 2048)
        tokenizer["vocabulary"] = st.number_input("Vocabulary", min(300, size), max(100_000, size), size)
    if tokenizer["type"] == "file":
        tokenizer["path"] = st.text_input("Path to tokenizer.json", start.tokenizer.get("path", ""))
    private = st.checkbox("Private", start.private, help="None of its text is shown, on pages, in files or in answers.")
    return name, {"source": source, "tokenizer": tokenizer, "cap_mb": cap, "private": private}


# {"path", "domains"} that cannot be read; the refusal; the name of a corpus whose failed build is to be changed.
LOST, REFUSED, CHANGED = "corpus-lost", "corpus-refused", "corpus-changed"


def ask_without(path: str, chosen: list[str], known: bool) -> list[str]:
    """Which domains of a folder may stay out: asked once a build was refused, or failed (known), because of them."""
    lost = st.session_state.get(LOST)
    names = lost["domains"] if lost and lost["path"] == path else domains_in(path) if known else []
    if not names:
        return []
    if refused := st.session_state.pop(REFUSED, None):
        refusal(refused)
    chosen = [name for name in chosen if name in names]
    return st.multiselect("Without", names, chosen, help="The corpus is built without the domains that you choose.")


def uploaded() -> str:
    """Ask for files or a folder of this computer; the folder of the workspace that they are kept in, "" before."""
    whole = st.toggle("A whole folder", key="corpus-upload-folder")
    files = st.file_uploader(
        "Text", accept_multiple_files="directory" if whole else True, key=f"corpus-upload-{whole}", help=READ
    )
    if not files:
        return ""
    there = [one.file_id for one in files]
    if st.session_state.get("corpus-uploaded", {}).get("files") != there:  # else they are kept already
        kept = keep_text(state.store().workspace, [(one.name, one.getvalue()) for one in files])
        st.session_state["corpus-uploaded"] = {"files": there, "folder": kept}
    return st.session_state["corpus-uploaded"]["folder"]


def preview(path: str) -> None:
    """Which domains a folder would give, with how much text, and what is left out, before it is read."""
    if not path:
        st.caption("Each folder or file becomes a domain.")
        return
    try:
        scan = of_folder(path)
    except Problem as problem:
        refusal(problem)
        return
    st.caption(f"{counted(len(scan.domains), 'domain')} found:")
    rows = [
        {"domain": name, "files": len(files), "MB": sum(one.size for one in files) / 1e6}
        for name, files in scan.domains.items()
    ]
    st.dataframe(rows, hide_index=True, height="content" if len(rows) < 8 else 260, column_config=SIZES)
    if scan.left:
        reasons = listed([f"{one.path} ({one.reason})" for one in scan.left], 5, between="; ")
        st.caption(plain(f"Left out: {reasons}."))


SIZES = {"MB": st.column_config.NumberColumn(format="%.2f", help="As the files are, packed ones too.")}


def domains_in(path: str) -> list[str]:
    """The domains of a folder, also those that cannot be read; none where it has gone."""
    try:
        scan = of_folder(path)
    except Problem:
        return []
    return [*scan.domains, *scan.lost]


UPLOAD = "upload"  # becomes a folder of the workspace
SOURCES = {
    UPLOAD: "Files from this computer",
    "folder": "One folder (or file) per domain",
    "files": "Individual files",
    "default": "Text on this machine (as in the demo)",
    "huggingface": "Hugging Face datasets",
}
TOKENIZERS = {"bytes": "Bytes", "bpe": "BPE, trained on this corpus", "file": "An existing tokenizer.json"}


def ask_source(kind: str, before: dict, known: bool) -> dict:
    """The fields of one kind of source. before: what they were in a build that failed; known: there was one."""
    if kind == "default":
        return {"type": "default"}
    path = uploaded() if kind == UPLOAD else ""
    column = st.text_input(
        "Text column", before.get("text", "text"), help="Of records and tables: JSON, CSV, TSV, Parquet, Arrow."
    )
    if kind in ("folder", UPLOAD):
        if kind == "folder":
            path = st.text_input(
                "Folder",
                before.get("path", ""),
                placeholder="/data/text",
                help="On the machine that Mixdesk runs on, with one folder or file per domain inside.",
            )
        preview(os.path.expanduser(path.strip()))
        source = {"type": "folder", "path": os.path.expanduser(path), "text": column}
        without = ask_without(source["path"], before.get("without", []), known and source["path"] == before.get("path"))
        return {**source, "without": without} if without else source
    label = "Domains: one per line, name = " + ("path" if kind == "files" else "dataset")
    lines = [line.partition("=") for line in st.text_area(label).splitlines() if line.strip()]
    values = {domain.strip(): value.strip() for domain, _, value in lines}
    if kind == "files":
        return {"type": "files", "files": values, "text": column}
    return {
        "type": "huggingface",
        "datasets": {d: {"name": value, "text": column} for d, value in values.items()},
    }
