"""Export: a mixture or merge as files for training and merging tools, verified by reading them back."""

import io
import re
import zipfile

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import review as review_charts
from dashboard.models.names import Named
from dashboard.server import state
from dashboard.views.decide.checkpoint import checkpoint
from dashboard.views.decide.rehearsal import rehearsal
from dashboard.views.shared.choice import choose
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.faders import linked_point
from dashboard.views.shared.moment import show_moment
from dashboard.views.shared.plot import plot
from dashboard.views.shared.study import named_of, study_of
from dashboard.views.shared.text import named_as, plain, refusal
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.recipes import MergeRecipe, Recipe, export, formats_of, standing
from engine.review.recipe import per_document, recipe_at, recipe_of
from engine.spec.pools import CAP_SLACK, SOURCES
from engine.spec.statistics import ci_half_width
from engine.studies.measured import frame_of_study
from engine.studies.moments import Moment, moment_of
from engine.studies.phases import total_in
from engine.studies.points import named_points
from engine.studies.schedules import named_schedules
from store import reviews, studies

FADERS, LINK = "the faders", "candidate"  # the point of the faders; the query parameter of the choice


def render(name: str | None) -> None:
    st.title("Export")
    if (study := study_of(name)) is None:
        return
    if not study.coordinates:
        nothing_yet("Nothing to export until the corpus is built.", study, studies="Watch it on Studies")
        return
    moment = moment_of(state.store(), study)
    show_moment(moment, "export")
    chosen, label, point = chosen_point(moment)
    recipe = settings(study, chosen, point)
    approval(recipe)
    for caveat in recipe.provenance["caveats"]:
        st.caption(f":material/info: {plain(caveat)}")
    st.header("What the real run would see" if isinstance(recipe, Recipe) else "The merge", anchor=False)
    names = named_of(study)
    kind = "merge" if isinstance(recipe, MergeRecipe) else "mixture"
    stages = [f"phase {n}, {100 * part:.4g}% of the tokens" for n, part in enumerate(phased_of(recipe), 1)]
    shown = np.array([*recipe.phases, point]) if stages else point[None]
    plot(review_charts.points(kind, [*stages, f"{label}, in total"] if stages else [label], names, shown), key="shares")
    if isinstance(recipe, Recipe):
        exposure(study, recipe)
    if recipe.predictions:
        st.header("Predicted metrics", anchor=False)
        st.dataframe(predictions_table(recipe, names), hide_index=True, column_config=COLUMNS)
    download(study, recipe)
    if isinstance(recipe, MergeRecipe):
        checkpoint(study, point, stem_of(recipe))


def phased_of(recipe: Recipe | MergeRecipe) -> tuple[float, ...]:
    """The parts of the tokens of its phases; none where it has none."""
    return recipe.fractions if isinstance(recipe, Recipe) else ()


def chosen_point(moment: Moment) -> tuple[str, str, np.ndarray]:
    """The point to export: a candidate, another named point, or the faders'; its id, how it is called, where it is."""
    study = moment.study
    points = named_points(moment)
    points |= {name: total_in(study, one) for name, one in named_schedules(state.store(), moment).items()}
    titles, named = {name: name for name in points}, {}
    for one in reviews.of_study(state.store(), study.id):
        points[one.id], titles[one.id] = np.array(one.frozen["point"]), one.frozen["name"]
        named.setdefault(one.frozen["name"], one.id)
    mixed = st.session_state.get(f"mix-{study.id}")
    faders = np.array(mixed) if mixed else linked_point(study)
    if faders is not None and study.kind != "merge":
        points[FADERS], titles[FADERS] = faders / faders.sum(), FADERS
    linked = st.query_params.get(LINK)
    if linked not in points and linked in named:  # links of before 0.4 have a candidate's name
        st.query_params[LINK] = named[linked]
    chosen = choose(st, "Candidate or other point", titles, "export-point", LINK, next(iter(titles)))
    return chosen, titles[chosen], points[chosen]


def settings(study: studies.Study, chosen: str, point: np.ndarray) -> Recipe | MergeRecipe:
    """The budget of the real run, its data paths, and the resulting recipe."""
    if study.kind == "merge":
        return recipe_chosen(study, chosen, point, None)
    start = recipe_chosen(study, chosen, point, None).target_tokens
    budget = st.number_input(
        "Target budget, tokens",
        0.0,
        1e15,
        start,
        format="%.4g",
        help="Of the real training run; determines how often each domain is repeated. The shares do not depend on it.",
    )
    with st.expander("Data paths and document lengths", icon=":material/folder_open:"):
        facts = (study.corpus or {}).get("domains", {})
        rows = [
            {"domain": one, "path": one, "tokens per document": per_document(facts.get(one, {}))}
            for one in study.domains
        ]
        length = st.column_config.NumberColumn(min_value=1e-6, format="%.1f")
        edited = st.data_editor(
            rows,
            hide_index=True,
            disabled=["domain"],
            key=f"places-{study.id}",
            column_config={"tokens per document": length},
        )
        st.caption(
            "Paths are written verbatim. Formats that count rows need the mean document length, in tokens of the real "
            "run's tokenizer."
        )
    paths = {row["domain"]: row["path"] for row in edited if row["path"] and row["path"] != row["domain"]}
    lengths = {row["domain"]: row["tokens per document"] for row in edited if row["tokens per document"]}
    return recipe_chosen(study, chosen, point, budget or None, paths=paths, tokens_per_document=lengths)


def recipe_chosen(study: studies.Study, chosen: str, point: np.ndarray, tokens: float | None, **options):
    """The recipe of what was chosen."""
    if chosen == FADERS:
        return recipe_at(state.store(), study, point, FADERS, tokens, **options)
    return recipe_of(state.store(), study, chosen, tokens, **options)


def approval(recipe: Recipe | MergeRecipe) -> None:
    """Whether it is approved, or a draft."""
    decided = recipe.provenance.get("decision")
    if recipe.approved:
        people = ", ".join(named_as(one) for one in decided["approvals"])
        st.success(f"Approved by {people}.", icon=":material/verified:")
        return
    why = f"it is {decided['state']}" if decided else "it was not nominated for review"
    st.warning(f"Draft: {why}. The files and their names say so.", icon=":material/edit_note:")


def exposure(study: studies.Study, recipe: Recipe) -> None:
    """Tokens and epochs at the budget, as far as they are known."""
    st.dataframe(epochs_table(recipe), hide_index=True, column_config=COLUMNS)
    if recipe.epochs is None:
        st.caption("Epochs are unknown: they need the available tokens of each domain and a target budget.")
    for note in frame_of_study(study).notes:
        st.caption(f":material/info: {plain(note)}")
    cap = study.spec["epoch_cap"] * CAP_SLACK
    over = [d for d, e in zip(recipe.domains, recipe.epochs or (), strict=False) if e is not None and e > cap]
    if over:
        st.warning(
            f"At this budget {plain(', '.join(over))} would be repeated more than {study.spec['epoch_cap']:g} times, "
            "the study's epoch cap. Lower the budget, or start a study with this target."
        )


COLUMNS = {
    "share of tokens": st.column_config.NumberColumn(format="%.2f%%"),
    "tokens": st.column_config.NumberColumn(format="localized"),
    "available tokens": st.column_config.NumberColumn(format="localized"),
    "epochs": st.column_config.NumberColumn(format="%.2f"),
    "predicted": st.column_config.NumberColumn(format="%.4f"),
    "± 95%": st.column_config.NumberColumn(format="%.4f"),
}


def epochs_table(recipe: Recipe) -> pd.DataFrame:
    """Share, tokens and epochs of each domain, as far as they are known."""
    table = {"domain": recipe.domains, "share of tokens": [100 * share for share in recipe.shares]}
    if recipe.target_tokens:
        table["tokens"] = [round(share * recipe.target_tokens) for share in recipe.shares]
    if recipe.epochs is not None:
        table["epochs"] = recipe.epochs
        table["available tokens"] = recipe.available_tokens
    if recipe.sources is not None:
        table["known"] = [SOURCES[one] for one in recipe.sources]
    return pd.DataFrame(table)


def predictions_table(recipe: Recipe | MergeRecipe, names: Named) -> pd.DataFrame:
    """Every metric with its interval and unit."""
    read = [reading(unit) for unit in names.units]
    return pd.DataFrame(
        {
            "metric": names.metrics,
            "predicted, 95%": [
                one.words(row["mean"], ci_half_width(row["std"]))
                for one, row in zip(read, recipe.predictions, strict=True)
            ],
            "unit": [one.unit for one in read],
        }
    )


def download(study: studies.Study, recipe: Recipe | MergeRecipe) -> None:
    """One format with a preview and its limitations; or all in a zip."""
    st.header("Files", anchor=False)
    formats = standing(recipe)
    titles = {name: one["title"] for name, one in formats.items()}
    name = choose(st, "Format", titles, "format", link="format")
    stem = stem_of(recipe)
    if formats[name]["problem"]:
        refusal(formats[name]["problem"])
    else:
        st.caption(plain(" ".join(formats[name]["notes"])))
        preview(export(recipe, name), stem)
        if isinstance(recipe, Recipe):
            rehearsal(study, recipe, name)
    with st.container(horizontal=True):
        st.download_button(
            "Every format (zip)",
            lambda: archive({"": recipe}),
            f"{stem}.zip",
            "application/zip",
            icon=":material/folder_zip:",
        )
        if found := reviews.of_study(state.store(), study.id):
            st.download_button(
                f"All {len(found)} candidates (zip)",
                lambda: archive(all_of(study)),
                "candidates.zip",
                "application/zip",
                icon=":material/folder_zip:",
            )
    for cannot in [one for one in formats.values() if one["problem"]]:
        st.caption(f"Not in the zip: {plain(cannot['title'])}. {plain(cannot['problem'])}")
    st.caption("Verified by an independent reader: weights agree to within 0.000001.")


def stem_of(recipe: Recipe | MergeRecipe) -> str:
    """The beginning of a downloaded file's name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{recipe.study}-{recipe.name}").strip("-")


def preview(files: dict[str, str | bytes], stem: str) -> None:
    """A button per file, and its text."""
    for file, content in files.items():
        st.download_button(
            f"Download {file}", content, file_name=f"{stem}-{file}", icon=":material/download:", key=f"get-{file}"
        )
        if isinstance(content, str):
            tall = 330 if file == next(iter(files)) else 120
            st.code(content, language=None, line_numbers=True, height=tall)


def all_of(study: studies.Study) -> dict[str, Recipe | MergeRecipe]:
    """The recipe of every candidate, each in a folder of its own: its id, which no name can break."""
    found = [one.id for one in reviews.of_study(state.store(), study.id)]
    return {f"{one}/": recipe_of(state.store(), study, one) for one in found}


def archive(recipes: dict[str, Recipe | MergeRecipe]) -> bytes:
    """Every format that can hold each recipe, as a zip; a file in it names the others."""
    packed, refused = io.BytesIO(), []
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder, recipe in recipes.items():
            for name in formats_of(recipe):
                try:
                    for file, content in export(recipe, name).items():
                        archive.writestr(f"{folder}{name}/{file}", content)
                except Problem as problem:
                    refused.append(f"{folder}{name}: {problem}")
        if refused:
            archive.writestr("not-in-here.txt", "\n".join(refused) + "\n")
    return packed.getvalue()
