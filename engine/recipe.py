"""Recipes: a mixture as the file that a training tool takes. A new format is one writer, one reader, one
line.

Nothing leaves unchecked: after writing, each file is read back by a reader that shares no code with its
writer, and its shares are compared with the recipe's. Shares are of tokens; every file that can hold a
comment says so, and says how many epochs of each domain the target budget means.
"""

import ast
import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import yaml

from engine.baselines import epochs
from engine.errors import Problem

TOLERANCE = 1e-6  # between a share written and the recipe's

Files = dict[str, str]  # file name -> text


@dataclass(frozen=True)
class Recipe:
    """A mixture with all that is known of it.

    domains and shares: D of each, shares of tokens that sum to 1; target_tokens: the training budget, 0 where
    none is known; available_tokens: D, None where unknown: then nothing is said of epochs; predictions: rows such
    as {"metric", "unit", "mean", "std"}; provenance: JSON-able facts (study, corpus, runs, surrogate, seed,
    version); approved: False makes a draft, and every file says so. Raises Problem for shares that are no mixture,
    and for names that no file could hold.
    """

    study: str
    name: str
    domains: tuple[str, ...]
    shares: tuple[float, ...]
    target_tokens: float
    available_tokens: tuple[float, ...] | None
    predictions: tuple[dict, ...] = ()
    provenance: dict = field(default_factory=dict)
    approved: bool = False

    def __post_init__(self):
        counts = len(self.domains) if self.available_tokens is None else len(self.available_tokens)
        if not len(self.domains) == len(self.shares) == counts or not self.domains:
            raise Problem(
                f"Cannot make a recipe of {len(self.domains)} domains, {len(self.shares)} shares and "
                f"{counts} token counts: there must be one of each for every domain."
            )
        if any(not 0 <= share <= 1 for share in self.shares) or abs(sum(self.shares) - 1) > TOLERANCE:
            raise Problem(
                f"Cannot export shares that sum to {sum(self.shares):.8g} (lowest {min(self.shares):.4g}): "
                "they must be at least 0 and sum to 1."
            )
        for name in (self.study, self.name, *self.domains):
            if not name or not name.isprintable():
                raise Problem(f"Cannot export the name {name!r}: it is empty or holds control characters. Rename it.")
        if len(set(self.domains)) != len(self.domains):
            raise Problem("Cannot export two domains of one name. Rename one of them.")

    @property
    def epochs(self) -> list[float] | None:
        """Passes over each domain's tokens at the target budget, D of them; None where either is unknown."""
        if self.available_tokens is None or not self.target_tokens:
            return None
        return epochs(self.shares, self.available_tokens, self.target_tokens).tolist()

    @property
    def header(self) -> list[str]:
        """Lines for the comment at the top of a file."""
        state = "approved" if self.approved else "DRAFT: not approved"
        budget = f"{self.target_tokens:,.0f} tokens" if self.target_tokens else "not given"
        told = self.epochs is not None
        seen = [f", {epoch:.3g} epochs" for epoch in self.epochs] if told else [""] * len(self.domains)
        rows = zip(self.domains, self.shares, seen, strict=True)
        return [
            f"{self.name}, a mixture of study {self.study} ({state}). Written by Mixdesk.",
            f"Weights are shares of tokens. Target budget: {budget}; "
            + ("epochs at that:" if told else "epochs are not known without the budget and the tokens of each domain:"),
            *(f"  {domain}: share {share:.6f}{epoch}" for domain, share, epoch in rows),
        ]


class Format(NamedTuple):
    """write(recipe) -> files; read(files) -> {domain: share}, zeros may be left out."""

    title: str
    write: Callable[[Recipe], Files]
    read: Callable[[Files], dict[str, float]]


def export(recipe: Recipe, format: str) -> Files:
    """The files of a recipe in one format of the table, {name: text}, written, read back and compared.

    Raises Problem for an unknown format, names that the format cannot hold, and shares that come back
    different.
    """
    if format not in FORMATS:
        raise Problem(f"Cannot export as {format!r}: the formats are {', '.join(FORMATS)}.")
    title, write, read = FORMATS[format]
    files = write(recipe)
    try:
        found = read(files)
    except (ValueError, KeyError, SyntaxError, yaml.YAMLError) as error:
        raise Problem(
            f"Cannot export as {title}: the file could not be read back ({error}). Rename odd domains."
        ) from error
    wanted = dict(zip(recipe.domains, recipe.shares, strict=True))
    wrong = [name for name in {**wanted, **found} if abs(found.get(name, 0.0) - wanted.get(name, 0.0)) > TOLERANCE]
    if wrong:
        pairs = ", ".join(f"{name!r} {wanted.get(name, 0.0):.8g} as {found.get(name, 0.0):.8g}" for name in wrong)
        raise Problem(f"Cannot export as {title}: read back, the file says {pairs}. Rename these domains.")
    return files


def _comment(recipe: Recipe) -> str:
    return "".join(f"# {line}\n" for line in recipe.header)


def _quoted(name: str) -> str:
    """A name as JSON, which is a YAML double-quoted scalar and a Python string too."""
    return json.dumps(name, ensure_ascii=False)


def _write_regmix_yaml(recipe: Recipe) -> Files:
    """RegMix's and TinyLlama's configuration: train: {domain: share}, valid: {domain: 1.0}."""
    train = "".join(f"  {_quoted(d)}: {share:.9f}\n" for d, share in zip(recipe.domains, recipe.shares, strict=True))
    valid = "".join(f"  {_quoted(d)}: 1.0\n" for d in recipe.domains)
    return {"mixture.yaml": f"{_comment(recipe)}train:\n{train}valid:\n{valid}"}


def _read_regmix_yaml(files: Files) -> dict[str, float]:
    return {str(name): float(share) for name, share in yaml.safe_load(files["mixture.yaml"])["train"].items()}


def _write_litgpt(recipe: Recipe) -> Files:
    """litgpt's loader as Python: one StreamingDataset a domain, drawn by share from chunks of one length."""
    rows = "".join(f"    {_quoted(d)}: {share:.9f},\n" for d, share in zip(recipe.domains, recipe.shares, strict=True))
    return {
        "litgpt_mixture.py": f"{_comment(recipe)}from pathlib import Path\n\n"
        "from litdata import CombinedStreamingDataset, StreamingDataset, TokensLoader\n\n"
        f"SHARES = {{  # of tokens: items must have one length, as TokensLoader gives them\n{rows}}}\n\n\n"
        "def train_dataset(root: Path, block_size: int) -> CombinedStreamingDataset:\n"
        "    used = {name: share for name, share in SHARES.items() if share > 0}\n"
        "    loader = TokensLoader(block_size=block_size)\n"
        "    datasets = [\n"
        "        StreamingDataset(\n"
        "            input_dir=str(root / name), item_loader=loader, shuffle=True, drop_last=True\n"
        "        )\n"
        "        for name in used\n"
        "    ]\n"
        "    return CombinedStreamingDataset(\n"
        "        datasets=datasets, seed=42, weights=tuple(used.values()), iterate_over_all=False\n"
        "    )\n"
    }


def _read_litgpt(files: Files) -> dict[str, float]:
    for node in ast.parse(files["litgpt_mixture.py"]).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "SHARES":
            return ast.literal_eval(node.value)
    raise ValueError("no SHARES in the file")


def _write_megatron(recipe: Recipe) -> Files:
    """Megatron-LM's argument file (--data-args-path): pairs of weight and path on white space, weights above
    0.

    The file can hold no comment, so a note goes beside it.
    """
    if spaced := [domain for domain in recipe.domains if any(letter.isspace() for letter in domain)]:
        raise Problem(
            f"Cannot export {', '.join(map(repr, spaced))} for Megatron-LM: "
            "it splits its arguments on white space. Rename these domains, or choose another format."
        )
    used = [(d, share) for d, share in zip(recipe.domains, recipe.shares, strict=True) if share >= 5e-10]
    pairs = "\n".join(f"{share:.9f} {domain}" for domain, share in used)
    note = "Pass data_args.txt with --data-args-path; put your folder before each name.\n"
    return {"data_args.txt": pairs + "\n", "README.txt": "\n".join(recipe.header) + "\n" + note}


def _read_megatron(files: Files) -> dict[str, float]:
    words = files["data_args.txt"].split()
    shares = dict(zip(words[1::2], map(float, words[0::2]), strict=True))
    if min(shares.values()) <= 0:
        raise ValueError("a weight is 0")
    return shares


def _write_csv(recipe: Recipe) -> Files:
    """One row a domain: domain, share_of_tokens, epochs, available_tokens, state."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["domain", "share_of_tokens", "epochs", "available_tokens", "state"])
    state = "approved" if recipe.approved else "draft"
    empty = [None] * len(recipe.domains)  # what is not known stays empty
    columns = zip(
        recipe.domains, recipe.shares, recipe.epochs or empty, recipe.available_tokens or empty, strict=True
    )
    rows.writerows(
        [d, f"{share:.9f}", "" if epoch is None else f"{epoch:.6g}", "" if tokens is None else f"{tokens:.0f}", state]
        for d, share, epoch, tokens in columns
    )
    return {"mixture.csv": text.getvalue()}


def _read_csv(files: Files) -> dict[str, float]:
    lines = csv.DictReader(io.StringIO(files["mixture.csv"], newline=""))
    return {line["domain"]: float(line["share_of_tokens"]) for line in lines}


def _write_json(recipe: Recipe) -> Files:
    """Everything, predictions and provenance too."""
    empty = [None] * len(recipe.domains)  # what is not known is null
    domains = [
        {"name": d, "share": share, "epochs": epoch, "available_tokens": tokens}
        for d, share, epoch, tokens in zip(
            recipe.domains, recipe.shares, recipe.epochs or empty, recipe.available_tokens or empty, strict=True
        )
    ]
    kept = {key: value for key, value in asdict(recipe).items() if key not in ("domains", "shares", "available_tokens")}
    whole = {
        **kept,
        "state": "approved" if recipe.approved else "draft",
        "unit": "tokens",
        "domains": domains,
    }
    try:
        return {"mixture.json": json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"}
    except (TypeError, ValueError) as error:
        raise Problem(
            f"Cannot export as JSON: the predictions or provenance hold {error}. Remove that value."
        ) from error


def _read_json(files: Files) -> dict[str, float]:
    return {domain["name"]: domain["share"] for domain in json.loads(files["mixture.json"])["domains"]}


FORMATS = {
    "regmix_yaml": Format("RegMix YAML", _write_regmix_yaml, _read_regmix_yaml),
    "litgpt": Format("litgpt (Python)", _write_litgpt, _read_litgpt),
    "megatron": Format("Megatron-LM arguments", _write_megatron, _read_megatron),
    "csv": Format("CSV", _write_csv, _read_csv),
    "json": Format("JSON", _write_json, _read_json),
}
