"""The arrows between the rooms run one way, and the page's process never loads torch."""

import ast
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
HEADLESS = {
    "steward", "owner", "client", "candidates", "asking", "measured", "notices", "rounds", "changes", "adopt",
    "api_tokens", "submitting", "backup", "commands", "review", "merging/planning", "merging/asking", "merging/mirror",
    "merging/opening", "merging/learn",
}  # fmt: skip  # the engine's part that uses the store: files and rooms of engine/
TORCH_WING = {
    "proxy", "lean", "forward", "products", "train", "torch_device", "evaluate", "merge_methods", "merging/learning",
    *(f"merging/{name}" for name in (
        "checkpoints", "checkpoint_writer", "merge", "layout", "job", "search", "proxies", "language_models",
        "live_process", "checkpoint_jobs", "adapters", "ancestry", "preflight", "aligned",
    )),
}  # fmt: skip
FORBIDDEN = {
    "engine": {"streamlit", "plotly", "duckdb", "dashboard"},
    "store": {"streamlit", "plotly", "torch", "dashboard"},
    "dashboard": {"torch", "duckdb"},
}


def imports(path: pathlib.Path) -> set[str]:
    """Every module that a file imports, wherever in the file, by its dotted name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_arrows_run_one_way():
    wrong = []
    for room, forbidden in FORBIDDEN.items():
        for path in (ROOT / room).rglob("*.py"):
            tops = {name.split(".")[0] for name in imports(path)}
            wrong += [f"{path.relative_to(ROOT)} imports {name}" for name in tops & forbidden]
            inside = path.relative_to(ROOT / room).with_suffix("")
            names = {str(inside), *map(str, inside.parents)}  # of the file, and of the rooms it lies in
            if room == "engine" and "store" in tops and not names & HEADLESS:
                wrong.append(f"{path.relative_to(ROOT)} imports store")
            if room == "engine" and "torch" in tops and not names & TORCH_WING:
                wrong.append(f"{path.relative_to(ROOT)} imports torch")
    assert wrong == []


def test_sql_stands_in_the_store_only():
    words = ("SELECT ", "INSERT INTO", "CREATE TABLE")
    files = [path for room in ("engine", "dashboard") for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 20
    assert [path.name for path in files if any(word in path.read_text() for word in words)] == []


def test_the_page_does_not_load_torch():
    code = (
        "import sys, dashboard.app, dashboard.queries, dashboard.charts, dashboard.views.studies, dashboard.views.runs,"
        "dashboard.views.corpus, dashboard.views.explore, dashboard.views.search, dashboard.views.export,"
        "dashboard.views.importing;"
        "print(sorted({'torch', 'sklearn', 'lightgbm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_every_file_says_what_it_is_for():
    files = [path for room in FORBIDDEN for path in (ROOT / room).rglob("*.py")]
    assert [
        path.name for path in files if not (ast.get_docstring(ast.parse(path.read_text())) or "").strip()
    ] == []
