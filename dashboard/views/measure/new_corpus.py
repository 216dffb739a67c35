"""The form that builds a corpus: where its text comes from, how records are read, and its tokens."""

import os

import streamlit as st

from dashboard.server import state
from dashboard.views.measure.tokens import ask_tokens
from dashboard.views.shared.buttons import needs_role, say_if_there
from dashboard.views.shared.dialogs import dialog
from dashboard.views.shared.text import plain, refusal
from engine.core.errors import Problem
from engine.core.short_names import counted, listed, told_apart
from engine.corpus.fields import TEMPLATE, TEXT
from engine.corpus.layouts import READ
from engine.corpus.rules import RULES, USUAL
from engine.corpus.spec import GIVEN, CorpusSpec
from engine.corpus.templates import TEMPLATES
from engine.corpus.texts import WholeDomainsLeft
from engine.studies.corpora import build_corpus, folder_there, keep_text

# {"path", "domains"} that cannot be read; the refusal; the name of a corpus whose failed build is to be changed.
LOST, REFUSED, CHANGED = "corpus-lost", "corpus-refused", "corpus-changed"
UPLOAD = "upload"  # becomes a folder of the workspace
SOURCES = {
    UPLOAD: "Files from this computer",
    "folder": "One folder (or file) per domain",
    "files": "Individual files",
    "default": "Text on this machine (as in the demo)",
    "huggingface": "Hugging Face datasets",
    "tokens": "Pre-tokenised files (Megatron, OLMo, MDS, ...)",
}
TOKENIZERS = {
    "bytes": "Bytes",
    "bpe": "BPE, trained on this corpus",
    "rule": "By a rule: characters, molecules, DNA",
    "file": "An existing tokenizer.json",
    "ids": "Not given: losses in nats per token",
}
OWN = "own"
TEMPLATE_TITLES = {**{name: name for name in TEMPLATES}, OWN: "a jinja template"}
SIZES = {"MB": st.column_config.NumberColumn(format="%.2f", help="As the files are, packed ones too.")}


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
    known = [name for name in TOKENIZERS if (name in GIVEN if kind == "tokens" else name != "ids")]
    place = known.index(start.tokenizer["type"]) if start.tokenizer["type"] in known else 0
    tokenizer = {"type": left.selectbox("Tokenizer", known, place, format_func=TOKENIZERS.get)}
    cap = right.number_input(
        "Limit, MB per domain", min(0.1, start.cap_mb), max(1e6, start.cap_mb), float(start.cap_mb)
    )
    if tokenizer["type"] == "rule":
        titles = told_apart({name: rule.title for name, rule in RULES.items()})
        first = list(RULES).index(start.tokenizer.get("rule", "characters"))
        tokenizer["rule"] = st.selectbox("Rule", list(titles), first, format_func=titles.get)
    if tokenizer["type"] in ("bpe", "rule"):
        size = start.tokenizer.get("vocabulary", USUAL if tokenizer["type"] == "rule" else 2048)
        tokenizer["vocabulary"] = st.number_input("Vocabulary", min(300, size), max(100_000, size), size)
    if tokenizer["type"] == "file":
        tokenizer["path"] = st.text_input("Path to tokenizer.json", start.tokenizer.get("path", ""))
    private = st.checkbox("Private", start.private, help="None of its text is shown, on pages, in files or in answers.")
    return name, {"source": source, "tokenizer": tokenizer, "cap_mb": cap, "private": private}


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
        scan = folder_there(path)
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


def domains_in(path: str) -> list[str]:
    """The domains of a folder, also those that cannot be read; none where it has gone."""
    try:
        scan = folder_there(path)
    except Problem:
        return []
    return [*scan.domains, *scan.lost]


def ask_source(kind: str, before: dict, known: bool) -> dict:
    """The fields of one kind of source. before: what they were in a build that failed; known: there was one."""
    if kind == "default":
        return {"type": "default"}
    if kind == "tokens":
        return ask_tokens(before)
    path = uploaded() if kind == UPLOAD else ""
    read = ask_fields(before)
    if kind in ("folder", UPLOAD):
        if kind == "folder":
            path = st.text_input(
                "Folder",
                before.get("path", ""),
                placeholder="/data/text",
                help="On the machine that Mixdesk runs on, with one folder or file per domain inside.",
            )
        preview(os.path.expanduser(path.strip()))
        source = {"type": "folder", "path": os.path.expanduser(path), **read}
        without = ask_without(source["path"], before.get("without", []), known and source["path"] == before.get("path"))
        return {**source, "without": without} if without else source
    label = "Domains: one per line, name = " + ("path" if kind == "files" else "dataset")
    lines = [line.partition("=") for line in st.text_area(label).splitlines() if line.strip()]
    values = {domain.strip(): value.strip() for domain, _, value in lines}
    if kind == "files":
        return {"type": "files", "files": values, **read}
    return {
        "type": "huggingface",
        "datasets": {d: {"name": value, **read} for d, value in values.items()},
    }


def ask_fields(before: dict) -> dict:
    """Which fields of records are read: the column of a text, and the template of conversations."""
    left, right = st.columns(2)
    column = left.text_input(
        "Text column", before.get("text", TEXT), help="Of records and tables: JSON, CSV, TSV, Parquet, Arrow."
    )
    there = before.get("template", TEMPLATE)
    chosen = right.selectbox(
        "Conversations",
        list(TEMPLATE_TITLES),
        list(TEMPLATE_TITLES).index(there if there in TEMPLATES else OWN),
        format_func=TEMPLATE_TITLES.get,
        help="How records without that column are written out that hold messages, or an instruction and its answer. "
        "Only what the model says counts in their losses.",
    )
    if chosen == TEMPLATE:
        return {"text": column}  # the same settings as where nobody chose
    if chosen != OWN:
        return {"text": column, "template": chosen}
    written = st.text_area(
        "Template",
        "" if there in TEMPLATES else there,
        help="It sees `messages`. {% generation %} marks what the model says; a tokenizer's chat_template will do.",
    )
    return {"text": column, "template": written}
