"""A folder's name says what it may import; arrows run one way, and the page's process never loads torch."""

import ast
import pathlib
import subprocess
import sys
from functools import cache
from typing import NamedTuple

import pytest

from dashboard.views import ANY, FORMER, MERGE, MIXTURE, PAGES, pages_for
from tests.support.running import ROOT


class Room(NamedTuple):
    """folders: of Mixdesk that it may import, besides itself; packages: from outside, besides the standard library."""

    folders: set[str]
    packages: set[str]


NOUNS = {f"engine/{name}" for name in ("core", "jobs", "space", "spec")}
NUMPY = {
    f"engine/{name}"
    for name in ("corpus", "tasks", "surrogates", "search", "league", "analysis", "importing", "recipes")
}
TORCH = {f"engine/{name}" for name in ("metrics", "proxies", "merging")}
STORE = {f"engine/{name}" for name in ("studies", "review", "service", "commands")}
ARRAYS = {"numpy", "scipy"}

# In the order in which data flows: a room imports from rooms above it only.
ROOMS = {
    "engine/core": Room(set(), {"yaml"}),
    "engine/jobs": Room({"engine/core"}, {"ray", "submitit"}),
    "engine/space": Room({"engine/core"}, ARRAYS),
    "engine/spec": Room({"engine/core", "engine/jobs", "engine/space"}, {*ARRAYS, "yaml"}),
    "engine/corpus": Room(NOUNS, {"numpy", "pyarrow", "tokenizers", "datasets", "jinja2"}),
    "engine/tasks": Room(NOUNS | {"engine/corpus"}, {"numpy", "reasoning_gym"}),
    "engine/surrogates": Room(NOUNS, {*ARRAYS, "sklearn", "lightgbm", "safetensors", "torch"}),  # torch: TRAINED
    "engine/search": Room(NOUNS | {"engine/surrogates"}, {*ARRAYS, "sklearn", "cmaes"}),
    "engine/league": Room(NOUNS | {"engine/surrogates", "engine/search"}, ARRAYS),
    "engine/analysis": Room(NOUNS | {"engine/surrogates"}, ARRAYS),
    "engine/importing": Room(NOUNS, {*ARRAYS, "pyarrow"}),
    "engine/recipes": Room(NOUNS, {"numpy", "pyarrow", "yaml"}),
    "engine/metrics": Room(NOUNS | {"engine/tasks"}, {"torch", "numpy"}),
    "engine/proxies": Room(
        NOUNS | {"engine/corpus", "engine/tasks", "engine/metrics"}, {"torch", "numpy", "safetensors"}
    ),
    "engine/merging": Room(
        NOUNS | {f"engine/{name}" for name in ("corpus", "tasks", "search", "importing", "metrics", "proxies")},
        {*("torch", "numpy", "scipy", "safetensors", "transformers", "yaml", "lm_eval"), "tokenizers", "jinja2"},
    ),
    "store": Room({"engine/core", "engine/jobs", "engine/spec"}, {"duckdb", "numpy", "pyarrow"}),
    "engine/studies": Room(NOUNS | NUMPY | {"store", "engine/metrics"}, {*ARRAYS, "yaml"}),
    "engine/review": Room(NOUNS | NUMPY | {"store", "engine/studies"}, ARRAYS),
    "engine/service": Room(NOUNS | NUMPY | {"store", "engine/studies", "engine/review"}, {"numpy", "pyarrow"}),
    "engine/commands": Room(NOUNS | NUMPY | {"store"} | STORE, {"numpy", "pydantic"}),
    "engine/cli": Room(NOUNS | NUMPY | TORCH | STORE, {"numpy", "tqdm", "mcp", "mcp_types"}),
    "dashboard": Room(
        NOUNS | NUMPY | {"store", "engine/metrics"} | STORE,
        {"numpy", "pandas", "plotly", "streamlit", "starlette", "lightgbm"},
    ),
}
# At most: 121 were planned, 9 are for tasks, 2 for commands, 1 for harnesses; 14 and 322 before rooms were folders.
FLOORS, ARROWS = 10, 134
LOOSE = {"engine/__main__.py", "engine/worker.py", "engine/__init__.py"}  # the only files beside the folders of engine
TRAINED = {"network.py", "train.py"}  # of in_context: what makes its weights, which no page imports
HEAVY = {"torch", "sklearn", "lightgbm"}  # what the page's process never loads
SLOW = {"scipy.stats", "scipy.special"}  # and what it, like every command, loads only where an answer needs it
INSIDE_DASHBOARD = {  # folder of dashboard -> packages and rooms that its files do without
    "dashboard/models": {"streamlit", "plotly"},
    "dashboard/charts": {"streamlit", "store"},
    "dashboard/report": {"streamlit"},
}
SHARED = {f"dashboard/{name}" for name in ("models", "charts", "components", "server", "report", "views/shared")}
# Folder of dashboard -> folders of dashboard that it may import, besides itself; again in the order of the flow.
DASHBOARD = {
    "dashboard/models": set(),
    "dashboard/charts": {"dashboard/models"},
    "dashboard/server": set(),
    "dashboard/components": {"dashboard/server"},
    "dashboard/report": {"dashboard/models"},
    "dashboard/views/shared": SHARED - {"dashboard/views/shared"},
    "dashboard/views/understand": SHARED,
    "dashboard/views/merges": SHARED,
    "dashboard/views/measure": SHARED,
    "dashboard/views/decide": SHARED,
    "dashboard/views/account": SHARED,
}


def files(room: str) -> list[pathlib.Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(path: pathlib.Path) -> set[str]:
    """Every module that a file imports, wherever in the file, by its dotted name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(name: str) -> str | None:
    """The room of a dotted name, None for one from outside, `engine` for the package's own names (VERSION).

    What lies beside the rooms (engine/worker.py) has its own name, which no row allows.
    """
    parts = name.split(".")
    if parts[0] != "engine":
        return parts[0] if parts[0] in ("store", "dashboard") else None
    return "engine" if name in ("engine", "engine.VERSION") else "/".join(parts[:2])


def wrongly_imported(room: str, names: set[str]) -> list[str]:
    """Those of the dotted names that a file of a room may not import."""
    allowed = ROOMS[room].folders | {room, "engine"}
    packages = sys.stdlib_module_names | ROOMS[room].packages
    here = {name: room_of(name) for name in sorted(names)}
    return [
        name for name, there in here.items() if (there not in allowed if there else name.split(".")[0] not in packages)
    ]


@pytest.mark.parametrize(
    ("room", "name"),
    [
        ("engine/core", "engine.worker"),
        ("engine/jobs", "engine.worker.parser"),
        ("engine/cli", "engine.__main__.main"),
        ("engine/spec", "engine.unheard_of.thing"),
        ("engine/spec", "tests.support.running.ROOT"),
        ("store", "tests"),
        ("store", "torch"),
        ("engine/metrics", "engine.proxies.model"),
    ],
)
def test_a_rooms_rule_has_no_hole(room, name):
    assert wrongly_imported(room, {name, "engine.VERSION", "engine", "json"}) == [name]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_its_row_allows(room):
    wrong = {str(path.relative_to(ROOT)): wrongly_imported(room, imports(path)) for path in files(room)}
    assert {path: names for path, names in wrong.items() if names} == {}


def test_rooms_stand_in_the_order_of_their_arrows():
    """So that no two rooms import each other, by any way around."""
    above = set()
    for name, room in ROOMS.items():
        assert room.folders - {name} <= above | (TORCH if name == "engine/cli" else set()), name
        above.add(name)


@cache
def arrows() -> dict[str, set[str]]:
    """Room -> the rooms that its files import."""
    found = {
        name: {room_of(one) for path in files(name) for one in imports(path)} & set(ROOMS) - {name} for name in ROOMS
    }
    assert all(found[name] for name in list(ROOMS)[1:])
    return found


def test_no_arrow_goes_back_up_and_the_house_has_as_many_floors_as_decisions_say():
    """A room's floor is one above the highest that it imports. What was planned, and why there is one floor more:
    docs/DECISIONS.md."""
    floor: dict[str, int] = {}
    for name, there in arrows().items():
        assert there <= set(floor), name  # rooms stand in the order of the flow
        floor[name] = 1 + max((floor[one] for one in there), default=0)
    assert max(floor.values()) == FLOORS
    assert sum(map(len, arrows().values())) <= ARROWS


def test_engine_has_no_loose_files_and_every_folder_is_a_room():
    loose = {str(path.relative_to(ROOT)) for path in (ROOT / "engine").glob("*.py")}
    assert loose == LOOSE
    assert {f"engine/{path.parent.name}" for path in (ROOT / "engine").glob("*/__init__.py")} <= set(ROOMS)


def test_merges_build_on_studies_and_never_the_other_way():
    own = [path for path in files("engine/studies") if path.parent.name == "studies"]
    wrong = [path.name for path in own for name in imports(path) if name.startswith("engine.studies.merges")]
    assert len(own) > 10 and wrong == []


@pytest.mark.parametrize("folder", INSIDE_DASHBOARD)
def test_folders_of_the_dashboard_keep_apart(folder):
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(folder)
        for name in imports(path)
        if name.split(".")[0] in INSIDE_DASHBOARD[folder]
    ]
    assert files(folder) and wrong == []


def test_the_dashboard_flows_one_way():
    """Models, charts, components, shared parts of pages, pages; page.py, app.py and the table of pages see all."""
    wrong, above = [], set()
    for folder, allowed in DASHBOARD.items():
        assert allowed <= above, folder
        above.add(folder)
        for path in files(folder):
            for name in imports(path):
                there = next((one for one in DASHBOARD if name.replace(".", "/").startswith(f"{one}/")), None)
                if name.startswith("dashboard.") and there not in allowed | {folder}:
                    wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert sorted(wrong) == []
    folders = {str(path.parent.relative_to(ROOT)) for path in files("dashboard")}
    assert folders == {"dashboard", "dashboard/views", *DASHBOARD}


def test_every_page_is_a_row_whose_function_is_there():
    assert len({(page.path, page.kind) for page in PAGES}) == len(PAGES)
    assert all(callable(page.function()) and page.kind in (ANY, MIXTURE, MERGE) for page in PAGES)
    assert set(FORMER.values()) <= {page.path for page in PAGES} and not set(FORMER) & {page.path for page in PAGES}
    assert list(pages_for(MERGE)) == list(pages_for(MIXTURE))
    assert pages_for(MERGE)["explore"] != pages_for(MIXTURE)["explore"]


def test_a_backend_alone_imports_its_scheduler():
    schedulers = {"ray", "submitit"}
    importers = {
        path.relative_to(ROOT).parent.as_posix()
        for path in files("engine")
        if {name.split(".")[0] for name in imports(path)} & schedulers
    }
    assert importers == {"engine/jobs/backends"}


def test_of_surrogates_the_training_of_weights_alone_imports_torch():
    found = {path for path in files("engine/surrogates") if {name.split(".")[0] for name in imports(path)} & {"torch"}}
    assert {path.name for path in found} == TRAINED and {path.parent.name for path in found} == {"in_context"}


def test_sql_stands_in_the_store_only():
    """But for the one that reads the database of a tracker, which is none of ours."""
    words = ("SELECT ", "INSERT INTO", "CREATE TABLE")
    looked = files("engine") + files("dashboard")
    assert len(looked) > 20
    assert [path.name for path in looked if any(word in path.read_text() for word in words)] == ["trackers.py"]


def test_pages_take_fit_and_search_from_one_moment():
    """Read one by one they would be of different times: `Moment` has both, and the runs (engine/studies/moments.py)."""
    looked = files("dashboard/views")
    asked = {path.relative_to(ROOT / "dashboard/views").as_posix(): imports(path) for path in looked}
    assert [path for path, names in asked.items() if "engine.studies.fits.fit_of" in names] == []
    searches = [path.name for path in looked if "results.searches(" in path.read_text()]
    assert sorted(searches) == ["moment.py", "search.py"]  # what is new, and all that there are


def test_the_page_and_commands_start_without_torch_and_scikit_learn():
    """Every module of the dashboard, page.py too (which runs when it is imported: its imports are read instead)."""
    modules = [path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in files("dashboard")]
    skipped = {"dashboard.page", "dashboard.__main__"}
    assert skipped <= set(modules) and len(modules) > 40
    names = {name.removesuffix(".__init__") for name in modules} - skipped
    for name in skipped:
        for found in imports(ROOT / (name.replace(".", "/") + ".py")):
            names.add(found if (ROOT / (found.replace(".", "/") + ".py")).exists() else found.rpartition(".")[0])
    names.add("engine.cli.command_line")
    code = (
        "import importlib, sys\n"
        f"for name in {sorted(name for name in names if room_of(name))}: importlib.import_module(name)\n"
        f"print(sorted({HEAVY | SLOW} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


def test_tests_stand_in_folders_of_the_same_names():
    """What drives a browser, odd inputs of all rooms, the whole system, and what tests share stand apart."""
    folders = {path.parent.relative_to(ROOT / "tests").as_posix() for path in files("tests")} - {"."}
    ours = {folder for folder in folders if folder.split("/")[0] not in ("browser", "cases", "system", "support")}
    code = {room for room in ROOMS if room.startswith("engine/")} | {"store", "dashboard"}
    there = {path.parent.relative_to(ROOT).as_posix() for room in code for path in files(room)}
    assert len(ours) > 30
    assert {folder for folder in ours if not {folder, f"engine/{folder}"} & there} == set()
    assert not list((ROOT / "tests").glob("test_*.py"))
