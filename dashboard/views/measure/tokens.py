"""Pre-tokenised text of a new corpus: its format, the files of each domain, and what these do not say."""

import streamlit as st

from dashboard.views.shared.text import refusal
from engine.core.errors import Problem
from engine.core.short_names import short_count
from engine.corpus.token_formats import FORMATS, How
from engine.corpus.token_formats.base import WIDTHS
from engine.corpus.token_samples import patterns_of
from engine.studies.corpora import tokens_there

UNSAID = "the files say it"
LOOK = 8  # domains that are counted before the corpus is built: headers of many files take a while


def ask_tokens(before: dict) -> dict:
    """The fields of pre-tokenised text. before: what they were in a build that failed."""
    st.caption(
        "The files stay where they lie: of each domain a random sample of documents is copied, over all of its files, "
        "up to the limit (a MB is a quarter of a million tokens here). Studies take the tokens that there are from the "
        "files' headers."
    )
    left, right = st.columns(2)
    titles = {name: one.title for name, one in FORMATS.items()}
    names = list(titles)
    place = names.index(before.get("format", names[0]))
    format = left.selectbox("Format", names, place, format_func={**titles}.get)
    seed = right.number_input("Seed of the sample", 0, 2**32 - 1, before.get("seed", 0))
    lines = "\n".join(f"{name} = {', '.join(patterns_of(paths))}" for name, paths in before.get("files", {}).items())
    text = st.text_area(
        "Domains: one per line, name = path",
        lines,
        placeholder="web = /data/web_text_document\ncode = /data/code_*.idx",
        help="A file, a pattern such as /data/web-*.npy, or a folder, on the machine that Mixdesk runs on; several "
        "with commas.",
    )
    files = {
        name.strip(): [one.strip() for one in paths.split(",") if one.strip()]
        for name, _, paths in (line.partition("=") for line in text.splitlines() if line.strip())
    }
    told = {"seed": int(seed)} if seed or "seed" in before else {}
    found = {"type": "tokens", "format": format, "files": files, **ask_unsaid(before), **told}
    there(found)
    return found


def ask_unsaid(before: dict) -> dict:
    """What files may not say themselves: the width of tokens, what ends a document, which column holds them."""
    a, b, c = st.columns(3)
    widths = [UNSAID, *WIDTHS]
    dtype = a.selectbox("Width of a token", widths, widths.index(before.get("dtype", UNSAID)))
    end = b.number_input(
        "End token",
        0,
        2**24 - 1,
        before.get("end"),
        placeholder="the tokenizer's",
        help="Where only a token divides documents (OLMo).",
    )
    column = c.text_input("Column", before.get("column", ""), placeholder="tokens or input_ids", help="MDS and Arrow.")
    found = {"dtype": dtype} if dtype != UNSAID else {}
    found |= {"end": int(end)} if end is not None else {}
    return found | ({"column": column.strip()} if column.strip() else {})


def there(source: dict) -> None:
    """How many tokens there are of the first domains, or what is wrong with their files."""
    how = How(source.get("dtype"), source.get("end"), None, source.get("column"))
    rows = []
    for name, paths in list(source["files"].items())[:LOOK]:
        try:
            one = tokens_there(source["format"], patterns_of(paths), how)
        except Problem as problem:
            refusal(problem)
            return
        rows.append({"domain": name, "files": one.files, "tokens": short_count(one.tokens), "documents": one.documents})
    if rows:
        st.dataframe(rows, hide_index=True)
    if len(source["files"]) > LOOK:
        st.caption(f"The other {len(source['files']) - LOOK} domains are counted while the corpus is built.")
