"""What the site shows that lies outside docs/: the project's own pages at the root, and the benchmarks' results."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ABOVE = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
FROM_ROOT = re.compile(r"\]\((docs/|LICENSE\b)")
OUTSIDE = re.compile(r"\]\((?:\.\./)+(benchmarks/results/[\w.-]+\.md|CONTRIBUTING\.md|SECURITY\.md|CHANGELOG\.md)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside, at the places that they have in the repository."""
    for path in [*(ROOT / name for name in ABOVE), *sorted((ROOT / "benchmarks/results").glob("*.md"))]:
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), content=path.read_text()))
    files.append(File.generated(config, "logo.svg", abs_src_path=str(ROOT / "dashboard/logo.svg")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they are inside the site: docs/ is its root there, and what lies beside docs/ is inside."""
    if page.file.src_uri in ABOVE:
        return FROM_ROOT.sub(lambda match: "](" + match[1].removeprefix("docs/"), markdown)
    up = "../" * page.file.src_uri.count("/")
    return OUTSIDE.sub(lambda match: f"]({up}{match[1]}", markdown)
