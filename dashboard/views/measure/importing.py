"""Import: runs trained elsewhere become a study; the preview says what was read and why, asks, and can be corrected."""

import hashlib
import re

import pandas as pd
import streamlit as st

from dashboard.server import state
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.text import plain, refusal
from engine.core.errors import Problem
from engine.core.short_names import listed, told_apart
from engine.importing.harness_files import combined
from engine.studies import imports
from engine.surrogates import SURROGATES

FORMATS = {
    "flat": "One table",
    "pair": "Two tables: mixtures, and what was measured",
    "regmix": "RegMix: two CSV files",
    "olmix": "Olmix: two CSV files",
}
NONE = ""  # of the files and columns: no name that one can have
TYPES = ["csv", "tsv", "txt", "json", "jsonl", "ndjson", "parquet", "pq", "gz", "bz2", "xz"]
ROUNDS = 6  # of questions, where one answer raises the next
INTRODUCTION = (
    "Import runs trained elsewhere: their mixture **shares** and their **metrics**. They become a study with all the "
    "pages that a study of Mixdesk's own proxies has. Files with errors are not imported."
)


RESULTS = (
    "Results of lm-evaluation-harness or lighteval may be many files: one for each run, found by its model's name."
)


def render(study: str | None) -> None:
    st.title("Import")
    st.markdown(INTRODUCTION)
    left, right = st.columns([1, 2])
    with left:
        format = st.radio("Format", list(FORMATS), format_func=FORMATS.get, key="import-format")
        name = st.text_input("Name of the study", "Imported runs", max_chars=80)
    with right:
        files = ask_files(format)
    if files is None:
        st.caption(f"You can also put files into {plain(state.store().workspace.root / 'imports')}.")
        return
    try:
        guessed, _ = ask_questions(format, files, {}, {})
        columns = corrected(guessed, format, files)
        shown, answers = ask_questions(
            format, files, columns, {one["id"]: one["answer"] for one in guessed["questions"]}
        )
    except Problem as problem:
        refusal(problem)
        return
    explained(shown)
    preview(shown)
    more = ask_more(shown)
    unanswered = any(one["answer"] is None for one in shown["questions"])
    allowed = needs_role("operator", shown["problem"] is not None or unanswered)
    if st.button("Import", type="primary", icon=":material/download_done:", **allowed):
        try:
            done = imports.import_runs(state.store(), name, format, **files, **columns, **more, answers=answers)
        except Problem as problem:
            refusal(problem)
            return
        st.session_state["next_study"] = done["study"]
        st.switch_page(st.session_state["pages"]["studies"])


def ask_files(format: str) -> dict | None:
    """The one or two files of a format, as names in the imports folder; None while one is missing."""
    wanted = {"weights": "Weights: the share of each domain, one row per run", "metrics": "Metrics: one row per run"}
    if format == "flat":
        wanted = {"weights": "Runs: shares and metrics, one row per run"}
    there = existing()
    found = {}
    for column, (what, label) in zip(st.columns(len(wanted)), wanted.items(), strict=True):
        with column:
            many = {"accept_multiple_files": what == "metrics", "help": RESULTS if what == "metrics" else None}
            looks = {**many, **needs_role("operator")}
            upload = st.file_uploader(label, TYPES, key=f"import-{format}-{what}", **looks)
            if upload:
                try:
                    found[what] = stored(upload) if what == "weights" else stored_metrics(upload)
                except Problem as problem:
                    refusal(problem)
            elif there:
                chosen = st.selectbox(
                    "or a file in the imports folder",
                    [NONE, *there],
                    format_func=told_apart({NONE: "none", **{name: name for name in there}}).get,
                    key=f"import-{format}-{what}-there",
                )
                if chosen:
                    found[what] = chosen
    return found if len(found) == len(wanted) else None


def existing() -> list[str]:
    """The files that lie in the imports folder."""
    folder = state.store().workspace.root / "imports"
    files = [path for path in folder.rglob("*") if path.suffix.lower().lstrip(".") in TYPES and path.is_file()]
    return sorted(str(path.relative_to(folder)) for path in files if not path.name.startswith("."))


def stored(upload) -> str:
    """Store an uploaded file in the imports folder; returns its name there. It lies in a folder of its own, called by
    what it holds: two files of one name, of a pair or of two people, are two."""
    data = upload.getvalue()
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", upload.name).lstrip("-._")[-64:] or "table"
    folder = f"uploads/{hashlib.sha256(data).hexdigest()[:12]}"
    return imports.keep_file(state.store().workspace, name, [data], folder)


def stored_metrics(uploads: list) -> str:
    """Store one uploaded file, or several files of a harness' results as one; returns its name there. Raises Problem
    where several are no results."""
    if len(uploads) == 1:
        return stored(uploads[0])
    text, notes = combined(((one.name, one.getvalue()) for one in uploads), f"these {len(uploads)} files")
    for note in notes:
        st.caption(f":material/info: {plain(note)}")
    name = f"results-{hashlib.sha256(text.encode()).hexdigest()[:12]}.jsonl"
    return imports.keep_file(state.store().workspace, name, [text.encode()])


def ask_questions(format: str, files: dict, columns: dict, known: dict) -> tuple[dict, dict]:
    """A preview with the answers to its questions, which are asked here: an answer may raise another question.

    columns: corrections; known: question -> answer of those that stand on the page already.
    """
    answers = {name: answer for name, answer in known.items() if answer is not None}
    seen = set(known)
    for _ in range(ROUNDS):
        shown = imports.preview(state.store(), format, **files, **columns, answers=answers)
        new = [one for one in shown["questions"] if one["id"] not in seen]
        for one in new:
            seen.add(one["id"])
            chosen = st.selectbox(
                plain(one["text"]),
                list(one["options"]),
                index=None,
                format_func=told_apart(one["options"]).get,
                placeholder="Choose an answer",
                key=f"question-{one['id']}-{hash_of(format, files, one)}",
            )
            answers |= {one["id"]: chosen} if chosen else {}
        if not new:
            break
    return shown, {one["id"]: answers[one["id"]] for one in shown["questions"] if one["id"] in answers}


def hash_of(*values) -> str:
    """A short name of values, for the keys of widgets that must forget what was chosen when the values change."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:12]


def explained(shown: dict) -> None:
    """What the tables were read as: the shares and why, what else was plausible, what is left out."""
    shares, mapping = shown["shares"], shown["mapping"]
    if not mapping["weights"]:
        return
    st.markdown(f"**Shares** are {plain(listed(list(mapping['weights'].values())))}: {plain(shares['why'])}.")
    for one in shares["others"]:
        st.caption(f"Plausible as shares too: {plain(listed(one['columns']))}: {plain(one['why'])}.")
    out = [one["column"] or "a column without a name" for one in shown["columns_read"] if not one["read"]]
    if out:
        st.caption(f"Not read: {plain(listed(out, 40))}.")
    if any(one["answer"] is None for one in shown["questions"]):
        st.warning("Answer the questions above: until then the preview shows the first answer of each.")
    with st.expander("What every column is, and why", icon=":material/help_center:"):
        rows = [
            {
                "column": one["column"],
                "read as": one["role"] if one["read"] else f"not read: {one['role']}",
                "because": one["reason"],
                "could be": ", ".join(one["also"]),
                "file": one["file"],
            }
            for one in shown["columns_read"]
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True)


def corrected(guessed: dict, format: str, files: dict) -> dict:
    """The guessed columns, corrected where somebody did so: arguments of engine.importing.read."""
    mapping, (first, second) = guessed["mapping"], guessed["columns"]
    second = second or first
    key = hash_of(format, files, mapping)
    found = f"{len(mapping['weights'])} domains, {len(mapping['metrics'])} metrics"
    asks = guessed["problem"] is not None
    with st.expander(f"Columns: {found}", asks, icon=":material/view_column:", key=f"columns-{key}"):
        weights = list(mapping["weights"].values())
        shares = st.multiselect("Domain shares", first, default=weights, key=f"weights-{key}")
        metrics = st.multiselect("Metrics", second, default=list(mapping["metrics"]), key=f"metrics-{key}")
        ups = [name for name in metrics if mapping["metrics"].get(name, {}).get("better") == "higher"]
        higher = st.multiselect("Higher is better for", metrics, default=ups, key=f"higher-{key}")
        columns = st.columns(5)
        units = list(dict.fromkeys(one["unit"] for one in mapping["metrics"].values()))
        known = units[0] if len(units) == 1 else ""
        unit = columns[0].text_input(
            "Unit of the metrics", known, key=f"unit-{key}", help="Empty: guessed from each name."
        )
        facts = {}
        for column, (what, label) in zip(columns[1:], FACTS.items(), strict=True):
            options = [NONE, *(first if what == "key" else dict.fromkeys([*first, *second]))]
            guess = options.index(mapping[what]) if mapping[what] in options else 0
            titles = told_apart({NONE: "none", **{name: name for name in options[1:]}})
            facts[what] = column.selectbox(label, options, guess, format_func=titles.get, key=f"{what}-{key}")
    given = {what: value for what, value in facts.items() if value != (mapping[what] or NONE)}
    given |= {"unit": unit} if unit and unit != known else {}
    lists = {"weight_columns": (shares, weights), "metric_columns": (metrics, list(mapping["metrics"]))}
    lists["higher_is_better"] = (higher, ups)
    return given | {what: [escaped(name) for name in now] for what, (now, before) in lists.items() if now != before}


FACTS = {"key": "Run key", "seed": "Seed", "model_size": "Model size", "n_tokens": "Tokens"}


def escaped(name: str) -> str:
    """A column's name as the glob that matches it alone."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def preview(shown: dict) -> None:
    """What would be imported: notes and the first rows, or why it is refused."""
    if shown["problem"]:
        refusal(shown["problem"])
        return
    if any(one["answer"] is None for one in shown["questions"]):
        st.info(f"{shown['runs']:,} runs with the first answers.", icon=":material/help:")
    else:
        st.success(f"{shown['runs']:,} runs are ready to import.", icon=":material/check_circle:")
    for note in shown["notes"]:
        st.caption(f":material/info: {plain(note)}")
    mapping = shown["mapping"]
    better = {name: f"{name} [{one['unit']}, {one['better']} is better]" for name, one in mapping["metrics"].items()}
    frame = pd.DataFrame(
        [
            {
                "run": row["key"],
                **{f"share {name}": 100 * share for name, share in row["weights"].items()},
                **{better[name]: value for name, value in row["metrics"].items()},
            }
            for row in shown["rows"]
        ]
    )
    formats = {name: st.column_config.NumberColumn(format="%.1f%%") for name in frame if name.startswith("share ")}
    formats |= {name: st.column_config.NumberColumn(format="%.4f") for name in better.values()}
    st.dataframe(frame, hide_index=True, column_config=formats)
    st.caption(f"The first {len(frame)} of {shown['runs']:,} runs.")


def ask_more(shown: dict) -> dict:
    """What the files cannot tell: the available tokens of each domain, and the budget of the real run."""
    with st.expander("Domain sizes and target budget (for epochs and UniMax)", icon=":material/database:"):
        st.caption("Without these, searches are centred on the mean of the runs' mixtures, and epochs are unknown.")
        domains = list(shown["mapping"]["weights"])
        table = pd.DataFrame({"domain": domains, "available tokens": [None] * len(domains)}).astype(
            {"available tokens": float}
        )
        edited = st.data_editor(table, hide_index=True, disabled=["domain"], key=f"tokens-{len(domains)}")
        budget = st.number_input("Target budget, tokens (0: unknown)", 0.0, 1e15, 0.0, format="%.4g")
        cap = st.number_input("Epoch cap", 0.1, 100.0, 4.0)
    titles = told_apart({name: one.title for name, one in SURROGATES.items()})
    compared = st.multiselect(
        "Surrogates to compare (empty: all)",
        list(titles),
        format_func=titles.get,
        help="Comparing all of them takes minutes where there are many runs, domains and metrics.",
    )
    more = {"target_tokens": budget, "epoch_cap": cap, "surrogates": compared}
    given = edited["available tokens"]
    if given.notna().any():
        more["available_tokens"] = {d: t for d, t in zip(domains, given.tolist(), strict=True) if t == t}
    return more
