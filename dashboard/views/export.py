"""Export: a mixture as the files that a loader takes as they are, checked by reading them back."""

import io
import re
import zipfile

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import charts, components, state
from dashboard.names import Named
from dashboard.views import parts
from dashboard.views.explore import linked_mixture
from engine.candidates import named_points, put_forward_points, recipe_of
from engine.errors import Problem
from engine.recipe import FORMATS, Recipe, export
from store import studies


def render(name: str | None) -> None:
    st.title("Export")
    if (study := parts.study_of(name)) is None:
        return
    if not study.domains:
        st.info("There is something to export as soon as the corpus is built.")
        return
    label, shares = choose(study)
    recipe = settings(study, label, shares)
    st.subheader("What the real run would see", anchor=False)
    names = parts.named_of(study)
    components.plot(charts.shares_bar([label], names.domains, names.colours, shares[None]), key="shares")
    st.dataframe(epochs_table(recipe), hide_index=True, column_config=COLUMNS)
    if recipe.predictions:
        st.subheader("What it is predicted to measure", anchor=False)
        st.dataframe(predictions_table(recipe, names), hide_index=True, column_config=COLUMNS)
    if recipe.epochs is None:
        st.caption(
            "How often each domain would be repeated is not said: that takes the tokens that there are of each domain "
            "(give them when you import) and a target budget."
        )
    over = [d for d, e in zip(recipe.domains, recipe.epochs or (), strict=False) if e > study.spec["epoch_cap"] + 1e-9]
    if over:
        st.warning(
            f"At this budget {', '.join(over)} would be repeated more than {study.spec['epoch_cap']:g} times, the "
            "study's epoch cap. Cut the budget, or search again with it."
        )
    download(recipe)


def choose(study: studies.Study) -> tuple[str, np.ndarray]:
    """The mixture to export: a named one, or the faders'."""
    points = {**named_points(state.store(), study), **put_forward_points(state.store(), study)}
    mixed = st.session_state.get(f"mix-{study.id}")
    faders = np.array(mixed) if mixed else linked_mixture(study)
    if faders is not None:
        points["the faders"] = faders / faders.sum()
    label = st.selectbox("Mixture", list(points), key="candidate", bind="query-params")
    return label, points[label]


def settings(study: studies.Study, label: str, shares: np.ndarray) -> Recipe:
    """The budget of the real run, and the recipe that follows."""
    budget = st.number_input(
        "Target budget, tokens", 0.0, 1e15, recipe_of(state.store(), study, shares, label).target_tokens, format="%.4g",
        help="Of the real training run: says how often each domain is repeated. The shares do not depend on it.",
    )  # fmt: skip
    return recipe_of(state.store(), study, shares, label, budget or None)


COLUMNS = {
    "share of tokens": st.column_config.NumberColumn(format="percent"),
    "tokens": st.column_config.NumberColumn(format="localized"),
    "epochs": st.column_config.NumberColumn(format="%.2f"),
    "predicted": st.column_config.NumberColumn(format="%.4f"),
    "± 95%": st.column_config.NumberColumn(format="%.4f"),
}


def epochs_table(recipe: Recipe) -> pd.DataFrame:
    """Share, tokens and epochs of each domain, as far as they are known."""
    table = {"domain": recipe.domains, "share of tokens": recipe.shares}
    if recipe.target_tokens:
        table["tokens"] = [round(share * recipe.target_tokens) for share in recipe.shares]
    if recipe.epochs is not None:
        table["epochs"] = recipe.epochs
    return pd.DataFrame(table)


def predictions_table(recipe: Recipe, names: Named) -> pd.DataFrame:
    """Every metric with its interval and unit."""
    return pd.DataFrame({
        "metric": names.metrics,
        "predicted": [row["mean"] for row in recipe.predictions],
        "± 95%": [1.96 * row["std"] for row in recipe.predictions],
        "unit": names.units,
    })


def download(recipe: Recipe) -> None:
    """One format with a preview, or all in a zip."""
    st.subheader("Files", anchor=False)
    name = st.segmented_control(
        "Format", list(FORMATS), default=next(iter(FORMATS)), format_func=lambda n: FORMATS[n].title, key="format",
        bind="query-params", required=True,
    )  # fmt: skip
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{recipe.study}-{recipe.name}").strip("-")
    try:
        files = export(recipe, name)
    except Problem as problem:
        parts.refusal(problem)
        return
    for file, text in files.items():
        st.download_button(
            f"Download {file}",
            text,
            file_name=f"{stem}-{file}",
            icon=":material/download:",
            key=f"get-{file}",
        )
        st.code(text, language=None, line_numbers=True, height=330)
    everything, refused = archive(recipe)
    st.download_button(
        "Download every format (zip)",
        everything,
        file_name=f"{stem}.zip",
        mime="application/zip",
        icon=":material/folder_zip:",
    )
    for problem in refused:
        st.caption(f"Not in the zip: {parts.plain(problem)}")
    st.caption(
        "Each file was read back by another parser and compared: shares agree within 0.000001. Weights are "
        "shares of tokens."
    )


def archive(recipe: Recipe) -> tuple[bytes, list[str]]:
    """Every format that can hold this recipe, as a zip, and why the others cannot."""
    packed, refused = io.BytesIO(), []
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FORMATS:
            try:
                for file, text in export(recipe, name).items():
                    archive.writestr(f"{name}/{file}", text)
            except Problem as problem:
                refused.append(str(problem))
    return packed.getvalue(), refused
