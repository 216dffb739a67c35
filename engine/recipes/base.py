"""A recipe: a mixture with all that is known of it, and what a format is. D domains."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from engine.core.checks import or_null
from engine.core.errors import Problem
from engine.recipes.rules import Rule
from engine.space.baselines import epochs

TOLERANCE = 1e-6  # between a share written and the recipe's
LEAST = 5e-10  # shares below it are written as 0
BY_RULE = "by rule, not by the loader"
STEP_TOKENS = 1 << 20  # of the steps in which loaders count phases: 256 sequences of 4,096 tokens
ONE_MIXTURE = "It knows no phases: its files hold one mixture with the same totals, and the order is lost."

Files = dict[str, str | bytes]  # file name -> content


@dataclass(frozen=True)
class Recipe:
    """A mixture ready to leave.

    domains and shares: D of each, shares of tokens that sum to 1; target_tokens: the training budget, 0 where none is
    known; available_tokens: D, None where unknown (of one, or of all): then nothing is said of its epochs; sources:
    D, how each count is known (engine.spec.pools), None where nothing is; predictions: rows such as {"metric", "unit",
    "mean", "std"}; provenance: JSON-able facts (study, corpus, runs, surrogate, versions, decision); approved: False
    makes a draft, and every file says so; run: the planned run whose mixture it is, None for any other mixture;
    paths: the loader's path to a domain's text, its name where absent;
    tokens_per_document: D, None where unknown: then formats that count documents are refused; phases: D shares of each
    phase, none for one mixture throughout, and fractions: of the tokens that each takes; totals: level -> part ->
    share, as engine/studies/levels.py has them. Raises Problem for shares that are not a mixture, or not that of the
    phases, and for domains and paths that no file could hold.
    """

    study: str
    name: str
    domains: tuple[str, ...]
    shares: tuple[float, ...]
    target_tokens: float
    available_tokens: tuple[float | None, ...] | None
    predictions: tuple[dict, ...] = ()
    provenance: dict = field(default_factory=dict)
    approved: bool = False
    paths: dict[str, str] = field(default_factory=dict)
    tokens_per_document: tuple[float, ...] | None = None
    sources: tuple[str, ...] | None = None
    phases: tuple[tuple[float, ...], ...] = ()
    fractions: tuple[float, ...] = ()
    run: str | None = None
    totals: dict[str, dict[str, float]] = field(default_factory=dict)

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
        for name in (*self.domains, *self.paths.values()):
            if not name or not name.isprintable():
                raise Problem(f"Cannot export the name {name!r}: it is empty or holds control characters. Rename it.")
        if unknown := [name for name in self.paths if name not in self.domains]:
            raise Problem(f"Cannot give a path for {unknown[0]!r}: the domains are {', '.join(self.domains)}.")
        if len(set(self.domains)) != len(self.domains) or len(set(self.places)) != len(self.domains):
            raise Problem("Cannot export two domains of one name, or at one path. Rename one of them.")
        per = self.tokens_per_document
        if per is not None and (len(per) != len(self.domains) or any(not 0 < one < np.inf for one in per)):
            raise Problem(f"Cannot count documents with {per} tokens each: give a number above 0 for every domain.")
        if self.phases and np.abs(np.array(self.fractions) @ np.array(self.phases) - self.shares).max() > TOLERANCE:
            raise Problem(f"Cannot export phases of {self.fractions} of the tokens: they do not make the total shares.")

    def at_phase(self, place: int) -> "Recipe":
        """One phase as a recipe of its own: its shares, and its part of the budget."""
        tokens = self.target_tokens * self.fractions[place]
        return replace(self, shares=self.phases[place], target_tokens=tokens, phases=(), fractions=())

    @property
    def stages(self) -> "list[Recipe]":
        """Its phases as recipes, or itself where it has none."""
        return [self.at_phase(place) for place in range(len(self.phases))] or [self]

    def starts(self) -> list[int]:
        """The steps of STEP_TOKENS tokens before which stages begin. Raises Problem for a phase without a step."""
        if not self.phases:
            return [0]
        if not self.target_tokens:
            raise Problem("Its phases begin at steps, which need a target budget. Give the tokens of the real run.")
        ends = np.cumsum(self.fractions)[:-1]
        found = [0, *(round(end * self.target_tokens / STEP_TOKENS) for end in ends.tolist())]
        if len(set(found)) < len(found):
            raise Problem(
                f"Its phases begin at steps of {STEP_TOKENS:,} tokens, and of {self.target_tokens:,.0f} tokens one has "
                "none. Give the tokens of the real run."
            )
        return found

    @property
    def places(self) -> list[str]:
        """Where the text of each domain lies, D of them."""
        return [self.paths.get(name, name) for name in self.domains]

    @property
    def state(self) -> str:
        return "planned" if self.run else "approved" if self.approved else "draft"

    @property
    def epochs(self) -> list[float | None] | None:
        """Passes over each domain's tokens at the target budget, D of them; None where either is unknown."""
        if self.available_tokens is None or not self.target_tokens:
            return None
        seen = epochs(self.shares, self.available_tokens, self.target_tokens)
        return or_null(seen)

    @property
    def repetitions(self) -> list[float]:
        """How far a loader may repeat each domain, D of them: its epochs rounded up, 1 where fewer or unknown."""
        seen = self.epochs or [None] * len(self.domains)
        return [1.0 if one is None else max(1.0, math.ceil(100 * one) / 100) for one in seen]

    @property
    def unrepeated(self) -> list[str]:
        """The domains in use whose epochs are unknown: for a loader nothing of them is repeated."""
        seen = self.epochs or [None] * len(self.domains)
        return [self.domains[i] for i in self.used if seen[i] is None]

    @property
    def document_shares(self) -> list[float]:
        """Shares of documents (D,) that give these shares of tokens. Raises Problem where their lengths are unknown."""
        if self.tokens_per_document is None:
            raise Problem(
                "Cannot count documents: how many tokens a document of each domain has is not known here. Give the "
                "tokens per document of every domain, or choose a format that counts tokens."
            )
        documents = np.array(self.shares) / np.array(self.tokens_per_document)
        return (documents / documents.sum()).tolist()

    @property
    def examples(self) -> list[int]:
        """Whole documents (D,) that give these shares of tokens at the budget. Raises Problem where the budget or their
        lengths are unknown, and for a domain in use that would have none."""
        shares = np.array(self.document_shares)
        if not self.target_tokens:
            raise Problem("Cannot count examples without a target budget. Give the tokens of the real run.")
        total = self.target_tokens / float(shares @ np.array(self.tokens_per_document))
        found = np.rint(shares * total).astype(int).tolist()
        if none := [self.domains[i] for i in self.used if not found[i]]:
            raise Problem(
                f"Of {self.target_tokens:,.0f} tokens {', '.join(none)} would have no whole example. Give a larger "
                "target budget, or leave it out of the mixture."
            )
        return found

    @property
    def used(self) -> list[int]:
        """The domains with a share above 0, by their places in the lists."""
        return [i for i, share in enumerate(self.shares) if share >= LEAST]

    @property
    def header(self) -> list[str]:
        """Lines for the comment at the top of a file."""
        state = {"draft": "DRAFT: not approved", "planned": f"planned run {self.run}"}.get(self.state, self.state)
        budget = f"{self.target_tokens:,.0f} tokens" if self.target_tokens else "not given"
        known = self.epochs is not None
        none = [None] * len(self.domains)
        counts = zip(self.epochs or none, self.available_tokens or none, self.sources or none, strict=True)
        seen = [
            "" if one is None else f", {one:.3g} epochs of {there:,.0f} tokens" + (f" ({source})" if source else "")
            for one, there, source in counts
        ]
        rows = zip(self.domains, self.shares, seen, strict=True)
        return [
            f"{shown(self.name)}, a mixture of study {shown(self.study)} ({state}). Written by Mixdesk.",
            f"Shares of tokens. Target budget: {budget}; "
            + (
                "epochs at that:" if known else "epochs are not known without the budget and the tokens of each domain:"
            ),
            *(f"  {domain}: share {share:.6f}{epoch}" for domain, share, epoch in rows),
            *total_lines(self),
            *phase_lines(self),
            *caveats(self.provenance),
        ]


def check_steps(recipe: Recipe) -> None:
    """Raise Problem unless every phase begins at a step of its own."""
    recipe.starts()


def total_lines(recipe: Recipe) -> list[str]:
    """Lines for a header: the shares of each level, such as sources and topics."""
    return [
        f"By {shown(level)}: {', '.join(f'{shown(part)} {share:.6f}' for part, share in parts.items())}."
        for level, parts in recipe.totals.items()
    ]


def phase_lines(recipe: Recipe) -> list[str]:
    """Lines for a header: the shares of each phase."""
    found = ["Its phases, one after the other; the shares above are their totals:"] if recipe.phases else []
    for place, (part, shares) in enumerate(zip(recipe.fractions, recipe.phases, strict=True), 1):
        rows = (f"{domain} {share:.6f}" for domain, share in zip(recipe.domains, shares, strict=True))
        found.append(f"  phase {place}, {100 * part:.4g}% of the tokens: {', '.join(rows)}")
    return found


class Format(NamedTuple):
    """One way out. write(recipe) -> files; read(files) -> {key: weight}, zeros may be left out, by independent code.

    keys, weights: what of the recipe the file holds: `domains` or `places`, `shares` or `document_shares`; unit: what a
    weight counts; positive: whether weights of 0 are left out; check(recipe) raises Problem for what it cannot express;
    checked: what tests have run on the files of this format; remarks: what its loader does with them, in sentences.
    stages(files) -> what `read` gives, for each phase, by independent code; None where the format knows no phases;
    phases: what to know of a recipe that has some; rule: how its loader draws, None where none reads it as it is.
    """

    title: str
    write: Callable[[Recipe], Files]
    read: Callable[[Files], dict[str, float]]
    unit: str = "tokens"
    keys: str = "domains"
    weights: str = "shares"
    positive: bool = False
    check: Callable[[Recipe], None] = lambda recipe: None
    checked: str = BY_RULE
    remarks: tuple[str, ...] = ()
    stages: Callable[[Files], list[dict[str, float]]] | None = None
    phases: str = ONE_MIXTURE
    rule: Rule | None = None

    def wanted(self, recipe: Recipe) -> dict[str, float]:
        """What the file must say. Raises Problem where it cannot be said."""
        self.check(recipe)
        return dict(zip(getattr(recipe, self.keys), getattr(recipe, self.weights), strict=True))

    def notes(self, recipe: Recipe) -> list[str]:
        """What to know before taking it, in sentences. Raises Problem where it cannot be taken at all."""
        self.wanted(recipe)
        found = [f"Weights count {self.unit}."]
        if self.positive and (left_out := [n for i, n in enumerate(recipe.domains) if i not in recipe.used]):
            found.append(f"It takes no weight of 0: {', '.join(left_out)} is left out of the file.")
        if isinstance(recipe, Recipe) and recipe.phases:
            found.append(self.phases)
        return [*found, *self.remarks, f"Checked {self.checked}."]


def shown(text: str) -> str:
    """A name of people's inside a comment: what could end the line, or turn it around, is written as an escape."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


def caveats(provenance: dict) -> list[str]:
    """Lines for a header: reasons to doubt what was predicted."""
    return [f"Caveat: {shown(one)}" for one in provenance.get("caveats", ())]


def comment(recipe: Recipe, *more: str) -> str:
    """The header as comment lines of Python and YAML."""
    return "".join(f"# {line}\n" for line in (*recipe.header, *more))


def quoted(name: str) -> str:
    """A name as JSON, which is a YAML double-quoted scalar and a Python string too."""
    return json.dumps(name, ensure_ascii=False)
