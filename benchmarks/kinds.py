"""Kinds of data beside prose: what adding each does to its own loss: `OMP_NUM_THREADS=1 python -m benchmarks.kinds`.

For each kind a corpus is built of prose (docstrings of installed packages), of one or more domains of the kind, and of
two controls: other prose of the same source, and noise (random letters). Proxies of one recipe are trained on prose
alone, and on 70% prose with 30% of each added domain, of other prose, and of noise, from five seeds each. Effect: the
loss with the added domain minus the loss without, on validation text of the kind, in bits per byte, with its standard
error over seeds; of tasks, the same in their own unit. Writes benchmarks/results/kinds.json and kinds.md; with names of
kinds, only their rows.
"""

import json
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from engine import corpus as corpora
from engine.core.files import write_json
from engine.corpus import CorpusSpec, sources
from engine.corpus.document import Tally
from engine.jobs.runs import TaskRun
from engine.metrics import item_metrics, task_values
from engine.proxies.answering import StackModels
from engine.proxies.evaluate import evaluate
from engine.proxies.train import Training
from engine.spec.fidelity import Fidelity
from engine.tasks.task import EvalTask, Item

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.kinds"
RESULTS = Path(__file__).parent / "results"
SEEDS, ADDED = 5, 0.3
RECIPE = Fidelity(width=32, context=128, batch=8, tokens=200_000, eval_tokens=8_192)
PROSE, MORE, NOISE = "prose", "other-prose", "noise"
CONTROLS = (MORE, NOISE)
BYTES = 300_000  # of text for each domain
Lines = Iterator[str] | list[str]


@dataclass(frozen=True)
class Kind:
    """make: the lines of each added domain, JSON records or text; tokenizer, template: of the corpus; needs: packages
    besides Mixdesk's; tokens: that each proxy is trained on; tasks: what is measured beside losses."""

    name: str
    make: Callable[[random.Random], dict[str, list[str]]]
    tokenizer: dict | str = "bytes"
    template: str = "plain"
    needs: tuple[str, ...] = ()
    tokens: int = RECIPE.tokens
    tasks: Callable[[random.Random], list[EvalTask]] = field(default=lambda rng: [])


def prose(part: int = 0) -> list[str]:
    """Sentences of docstrings, as in the default corpus; part: which BYTES of them."""
    found, size = [], 0
    for document in sources.documents("docs", Tally()):
        size += len(document.data)
        if size > part * BYTES:
            found.append(document.data.decode())
        if size > (part + 1) * BYTES:
            break
    return found


def noise(rng: random.Random) -> list[str]:
    return [
        "".join(rng.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP0123456789", k=76)) for _ in range(BYTES // 77)
    ]


def record(asked: str, said: str) -> str:
    return json.dumps({"instruction": asked, "output": said})


def instructions(rng: random.Random) -> dict[str, list[str]]:
    """Small jobs with one right answer each."""
    words = sorted({word for text in prose() for word in re.findall(r"[a-z]{4,9}", text)})
    jobs: list[Callable[[str, str], tuple[str, str]]] = [
        lambda one, other: (f"Spell the word {one}.", " ".join(one)),
        lambda one, other: (f"Write {one} in capitals.", one.upper()),
        lambda one, other: (f"Which comes first, {one} or {other}?", min(one, other)),
        lambda one, other: (f"Join {one} and {other} by a hyphen.", f"{one}-{other}"),
    ]
    return {"instructions": [record(*rng.choice(jobs)(*rng.sample(words, 2))) for _ in range(4000)]}


def sums(rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """(problem, steps, answer) of sums of three numbers."""
    while True:
        a, b, c = (rng.randrange(10, 100) for _ in range(3))
        yield f"{a} + {b} + {c} = ?", f"{a} + {b} = {a + b}; {a + b} + {c} = {a + b + c}; ", f"{a + b + c}"


def mathematics(rng: random.Random) -> dict[str, list[str]]:
    """The same problems as plain text, with and without worked steps."""
    drawn = list(islice(sums(rng), 8000))
    return {
        "answers": [f"{problem} {answer}." for problem, _, answer in drawn],
        "worked": [f"{problem} {steps}{answer}." for problem, steps, answer in drawn],
    }


def rationales(rng: random.Random) -> dict[str, list[str]]:
    """Instructions whose answers are bare, and the same with the steps that lead to them."""
    drawn = list(islice(sums(rng), 5000))
    return {
        "bare": [record(problem, answer) for problem, _, answer in drawn],
        "rationale": [record(problem, steps + answer) for problem, steps, answer in drawn],
    }


# How often each codon stands in genes of E. coli, per thousand (Nakamura, Gojobori and Ikemura 2000), the common ones.
USAGE = """
CTG:52 GAA:39 GCG:34 AAA:34 GGC:29 ATT:30 GAT:32 CAG:29 GTG:26 ATG:27 ACC:23 AAC:22 CGC:22 TTT:22 GGT:25 ATC:25 GCC:25
CCG:23 GCA:20 CGT:21 GAC:19 GAG:18 TAT:16 GTT:18 AAT:18 TTC:16 AGC:16 CAA:15 TGG:15 GCT:15 ACG:14 TTG:13 CAT:13 TAC:12
"""
CODONS = {codon: int(count) for codon, count in re.findall(r"(\w+):(\d+)", USAGE)}


def genes(rng: random.Random) -> dict[str, list[str]]:
    """Sequences from a table of codons, and others of the same letters that no table made."""
    coding = ["ATG" + "".join(rng.choices(list(CODONS), list(CODONS.values()), k=100)) + "TAA" for _ in range(900)]
    letters = {letter: sum(one.count(letter) for one in coding) for letter in "ACGT"}
    between = ["".join(rng.choices(list(letters), list(letters.values()), k=306)) for _ in range(900)]
    return {"coding": coding, "noncoding": between}


def molecules(rng: random.Random) -> dict[str, list[str]]:
    """Five thousand molecules of the National Cancer Institute that rdkit ships: canonical, randomised, as SELFIES."""
    import selfies
    from rdkit import Chem, RDConfig, RDLogger

    RDLogger.DisableLog("rdApp.*")
    lines = Path(RDConfig.RDDataDir, "NCI", "first_5K.smi").read_text().splitlines()
    found = [one for one in (Chem.MolFromSmiles(line.split("\t")[0]) for line in lines) if one is not None]
    canonical = [Chem.MolToSmiles(one) for one in found]
    random_ones = [one for each in found for one in Chem.MolToRandomSmilesVect(each, 2, randomSeed=rng.randrange(1000))]
    encoded = []
    for one in canonical:
        try:
            encoded.append(selfies.encoder(one))
        except selfies.EncoderError:  # elements and charges beyond its rules
            continue
    rng.shuffle(random_ones)
    return {"canonical": canonical, "randomised": random_ones, "selfies": encoded}


def terms(rng: random.Random) -> dict[str, list[str]]:
    """Names of diseases, of the classification that simple-icd-10-cm ships."""
    import simple_icd_10_cm as icd

    found = [icd.get_description(code) for code in icd.get_all_codes(True)]
    rng.shuffle(found)
    return {"diseases": list(dict.fromkeys(found))[:8000]}


CYRILLIC = dict(zip("abcdefghijklmnoprstuvyz", "абцдефгхийклмнопрстувыз", strict=True))


def second_script(rng: random.Random) -> dict[str, list[str]]:
    """Other prose, its letters in Cyrillic (ISO 9 where it has one): two bytes each."""
    texts = prose()
    table = str.maketrans({**CYRILLIC, **{a.upper(): b.upper() for a, b in CYRILLIC.items()}})
    return {"cyrillic": [text.translate(table) for text in texts[::-1]]}


def cases(rng: random.Random) -> list[tuple[str, str]]:
    """(measured cells in words, malignant or benign) of scikit-learn's breast cancer data, in random order."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    names = [name.removeprefix("mean ") for name in data.feature_names[:3]]
    ranks = (np.argsort(np.argsort(data.data[:, :3], axis=0), axis=0) * 5 // len(data.data)).tolist()
    sizes = ("tiny", "small", "medium", "large", "huge")
    found = [
        (
            ", ".join(f"{name} {sizes[rank]}" for name, rank in zip(names, row, strict=True)) + ":",
            data.target_names[one],
        )
        for row, one in zip(ranks, data.target, strict=True)
    ]
    rng.shuffle(found)
    return found


def labelled(rng: random.Random) -> dict[str, list[str]]:
    """Two thirds of a labelled set, each case several times in other orders of its measurements."""
    own = cases(random.Random(0))
    lines = []
    for text, label in own[: 2 * len(own) // 3]:
        parts = text.rstrip(":").split(", ")
        for _ in range(10):
            rng.shuffle(parts)
            lines.append(f"{', '.join(parts)}: {label}")
    rng.shuffle(lines)
    return {"cases": lines}


def cases_held_out(rng: random.Random) -> list[EvalTask]:
    own = cases(random.Random(0))
    labels = [" malignant", " benign"]
    items = [
        Item(text, choices=labels, scores=[float(choice.strip() == label) for choice in labels])
        for text, label in own[2 * len(own) // 3 :]
    ]
    return [EvalTask("cases", ["accuracy", "macro_f1"], items, "scikit-learn's breast cancer data, a third held out")]


KINDS = (
    Kind("instructions", instructions, template="chatml"),
    Kind("rationales", rationales, template="chatml"),
    Kind("mathematics", mathematics),
    Kind("molecules", molecules, {"type": "rule", "rule": "smiles"}, needs=("rdkit", "selfies")),
    Kind("DNA, by letters", genes, {"type": "rule", "rule": "characters"}),
    Kind("DNA, by codons", genes, {"type": "rule", "rule": "codons"}),
    Kind("second script", second_script),
    Kind("terms", terms, tokens=800_000, needs=("simple_icd_10_cm",)),
    Kind("labelled set", labelled, tokens=1_200_000, tasks=cases_held_out),
)


def missing(kind: Kind) -> list[str]:
    """The packages that a kind needs and that are not installed."""
    return [name for name in kind.needs if find_spec(name) is None]


def build(kind: Kind, folder: Path) -> tuple[corpora.Corpus, list[str]]:
    """The corpus of a kind, and the names of its added domains."""
    added = kind.make(random.Random(1))
    controls = {PROSE: prose(), MORE: prose(1), NOISE: noise(random.Random(2))}
    for name, lines in {**controls, **added}.items():
        records = lines[0].startswith('{"instruction"')
        (folder / f"{name}.{'jsonl' if records else 'txt'}").write_text("\n".join(lines) + "\n", "utf-8")
    source = {"type": "folder", "path": str(folder), "template": kind.template}
    corpora.build(CorpusSpec(source=source, tokenizer=kind.tokenizer), folder / "corpus", processes=1)
    return corpora.load(folder / "corpus"), list(added)


def train(kind: Kind, corpus: corpora.Corpus, added: list[str], tasks: list[EvalTask]) -> tuple[list[str], np.ndarray]:
    """Names of what is measured, and values (mixtures, seeds, metrics): prose alone, with each domain and control."""
    domains = [PROSE, *added, *CONTROLS]
    mixtures = [[1.0] + [0.0] * (len(domains) - 1)]
    for place in range(1, len(domains)):
        mixtures.append([1 - ADDED, *(ADDED * float(place == one) for one in range(1, len(domains)))])
    runs = [
        TaskRun(id=f"{at}-{seed}", weights=weights, seed=seed)
        for at, weights in enumerate(mixtures)
        for seed in range(SEEDS)
    ]
    fidelity = replace(RECIPE, tokens=kind.tokens)
    training = Training(fidelity, corpus, domains, runs, "cpu")
    for _ in range(fidelity.steps):
        training.advance()
    values, _ = evaluate(training.stack, corpus, added, fidelity.eval_tokens)
    asked = [(task, item_metrics(task)) for task in tasks]
    scored = task_values(StackModels(training.stack, corpus), asked, Path("."))
    names = [*added, *(metric.label(task.name) for task, own in asked for metric in own)]
    return names, np.hstack([values, scored.values]).reshape(len(mixtures), SEEDS, -1)


def effects(kind: Kind) -> list[dict]:
    """A row for each added domain, controls included, and each thing measured."""
    with tempfile.TemporaryDirectory() as folder:
        corpus, added = build(kind, Path(folder))
        names, values = train(kind, corpus, added, kind.tasks(random.Random(3)))
    rows = []
    for place, name in enumerate([*added, *CONTROLS], 1):
        change = values[place] - values[0]  # (seeds, metrics), from the same initial weights
        for metric, own in zip(names, change.T, strict=True):
            rows.append(
                {
                    "kind": kind.name,
                    "added": name,
                    "measured": metric,
                    "unit": "bits per byte" if metric in added else "score",
                    "without": float(values[0, :, names.index(metric)].mean()),
                    "effect": float(own.mean()),
                    "error": float(own.std(ddof=1) / SEEDS**0.5),
                }
            )
    return rows


def written(rows: list[dict], left: list[str]) -> str:
    lines = [
        "| kind | added, 30% | measured on | without | effect | other prose | noise |",
        "|---|---|---|---|---|---|---|",
    ]
    control = {(row["kind"], row["measured"], row["added"]): row for row in rows if row["added"] in CONTROLS}
    for row in rows:
        if row["added"] in CONTROLS:
            continue
        beside = [row, *(control.get((row["kind"], row["measured"], name)) for name in CONTROLS)]
        told = " | ".join(f"{one['effect']:+.3f} ± {one['error']:.3f}" if one else "not measured" for one in beside)
        lines.append(f"| {row['kind']} | {row['added']} | {row['measured']} | {row['without']:.3f} | {told} |")
    told = [f"Not run, as packages are missing: {', '.join(left)}."] if left else []
    return "\n".join([*lines, "", *told]).rstrip() + "\n"


def main() -> None:
    torch.set_num_threads(1)
    wanted = [kind for kind in KINDS if not sys.argv[1:] or kind.name in sys.argv[1:]]
    kept = json.loads((RESULTS / "kinds.json").read_text())["rows"] if len(wanted) < len(KINDS) else []
    left = [f"{kind.name} ({', '.join(missing(kind))})" for kind in wanted if missing(kind)]
    new = {kind.name: effects(kind) for kind in wanted if not missing(kind)}
    old = {kind.name: [row for row in kept if row["kind"] == kind.name] for kind in KINDS}
    rows = [row for kind in KINDS for row in new.get(kind.name, old[kind.name])]
    text = written(rows, left)
    print(text)
    write_json(RESULTS / "kinds.json", {"command": COMMAND, "date": date.today().isoformat(), "rows": rows})
    about = __doc__.split("\n\n")[1].replace("\n", " ").split(" Writes")[0]
    (RESULTS / "kinds.md").write_text(
        f"# Kinds of data\n\n`{COMMAND}`, {date.today().isoformat()}.\n\n{about}\n\n{text}"
    )


if __name__ == "__main__":
    main()
