"""Merging compared with mergekit: CPU seconds and memory, `python -m benchmarks.merging [METHOD ...]`.

Makes a base and three experts of about 200 million parameters in bf16 (a Llama's tensors, random), merges them by both
with one thread each, in turn, in processes of their own, and writes the ratios of CPU seconds, the peak of anonymous
memory (what a process holds beside mapped files), ours for twice the layers, and preflight's estimate, to
results/merging.json and .md. Methods that mergekit lacks are measured alone.
Needs 4 GB of disk in $TMPDIR and requirements-dev.txt.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date
from pathlib import Path

from engine.core.files import write_json
from engine.proxies.cpu_matmul import processor

ROOT, RESULTS = Path(__file__).parents[1], Path(__file__).parent / "results"
WIDTH, HIDDEN, LAYERS, VOCABULARY = 1024, 2816, 12, 32_000
CASES = {
    "linear": {},
    "slerp": {"t": 0.4},
    "task_arithmetic": {},
    "dare_linear": {"density": 0.5},
    "dare_ties": {"density": 0.5},
    "ties": {"density": 0.5},
    "breadcrumbs": {"density": 0.5, "gamma": 0.01},
    "della": {"density": 0.5, "epsilon": 0.1},
    "passthrough": {},
    "arcee_fusion": {},
    "ram": {},
    "ramplus_tl": {},
    "union": {},  # linear, of models that added tokens of their own, with the tokens of all
}
SINGLE = ("slerp", "arcee_fusion", "passthrough")  # they take one expert
UNWEIGHTED = (*SINGLE, "ram", "ramplus_tl")
TARGETS = {
    "linear": 2.5,
    "task_arithmetic": 2.5,
    "slerp": 6,
    "ties": 6,
    "breadcrumbs": 9,
    "dare_linear": 4,
    "dare_ties": 4,
    "della": 2,
}
ALONE = {"ties_global": {"density": 0.5}, "consensus": {}, "emr_task": {"task": 2}, "pcb": {}}  # mergekit lacks them
REPEATS = 3


def make(folder: Path, layers: int) -> None:
    """base, a, b, c: folders with config.json and one safetensors file."""
    import torch
    from safetensors.torch import save_file

    shapes = {"model.embed_tokens.weight": (VOCABULARY, WIDTH), "model.norm.weight": (WIDTH,)}
    shapes["lm_head.weight"] = (VOCABULARY, WIDTH)
    for n in range(layers):
        head = f"model.layers.{n}"
        shapes |= {f"{head}.{name}.weight": (WIDTH,) for name in ("input_layernorm", "post_attention_layernorm")}
        shapes |= {f"{head}.self_attn.{name}_proj.weight": (WIDTH, WIDTH) for name in "qkvo"}
        shapes |= {f"{head}.mlp.{name}_proj.weight": (HIDDEN, WIDTH) for name in ("gate", "up")}
        shapes[f"{head}.mlp.down_proj.weight"] = (WIDTH, HIDDEN)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": WIDTH,
        "vocab_size": VOCABULARY,
        "intermediate_size": HIDDEN,
        "num_hidden_layers": layers,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
    generator = torch.Generator().manual_seed(0)
    base = {name: 0.02 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    for model in ("base", "a", "b", "c"):
        moved = 0.0 if model == "base" else 0.002
        tensors = {
            name: (value + moved * torch.randn(value.shape, generator=generator)).bfloat16()
            for name, value in base.items()
        }
        (folder / model).mkdir(parents=True)
        (folder / model / "config.json").write_text(json.dumps(config))
        save_file(tensors, folder / model / "model.safetensors")


def make_spoken(folder: Path) -> None:
    """ua, ub, uc: a, b and c with two layers, and with tokens of their own behind a vocabulary that all share."""
    import torch
    from safetensors.torch import load_file, save_file
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    for model in "abc":
        tensors = load_file(folder / model / "model.safetensors")
        kept = {name: value for name, value in tensors.items() if ".layers." not in name or int(name.split(".")[2]) < 2}
        tokenizer = Tokenizer(WordLevel({f"word{n}": n for n in range(VOCABULARY)}, unk_token="word0"))
        tokenizer.add_special_tokens([f"<{model}{n}>" for n in range(4)])
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            kept[name] = torch.cat([kept[name], kept[name][:4]])
        out = folder / f"u{model}"
        out.mkdir()
        config = json.loads((folder / model / "config.json").read_text())
        config |= {"num_hidden_layers": 2, "vocab_size": VOCABULARY + 4}
        (out / "config.json").write_text(json.dumps(config))
        (out / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
        tokenizer.save(str(out / "tokenizer.json"))
        save_file(kept, out / "model.safetensors")


def config_of(method: str, folder: Path) -> dict:
    """The merge file of a method; weights that do not cancel."""
    if method == "union":
        models = [{"model": str(folder / f"u{one}"), "parameters": {"weight": 0.4}} for one in "abc"]
        return {"merge_method": "linear", "models": models, "dtype": "bfloat16", "tokenizer_source": "union"}
    experts = "a" if method in SINGLE else "abc"
    weights = {} if method in UNWEIGHTED else {"weight": 0.4}
    own = {} if method == "slerp" else CASES.get(method, {})
    models = [{"model": str(folder / one), "parameters": {**weights, **own}} for one in experts]
    made = {"merge_method": method, "models": models, "dtype": "bfloat16"}
    if method not in ("linear", "passthrough"):
        made["base_model"] = str(folder / "base")
    if method == "slerp" or method in ALONE:
        made["parameters"] = CASES.get(method) or ALONE[method]
    return made


def estimated(method: str, folder: Path) -> float:
    """Preflight's estimate of the merge's memory, in megabytes."""
    from engine.merging.config import from_dict
    from engine.merging.cost import memory
    from engine.merging.layout import opened, plan

    config = from_dict(config_of(method, folder), folder)
    models = opened(config)
    return memory(config, models, plan(config, models)) / 1e6


def child(who: str, method: str, folder: Path, out: Path) -> None:
    """One merge in this process; prints CPU seconds and the peak of anonymous memory, above what it began with."""
    import torch

    torch.set_num_threads(1)
    if who == "mixdesk":
        from engine.merging.config import from_dict
        from engine.merging.merge import merge

        config = from_dict(config_of(method, folder), folder)

        def work():
            return merge(config, out)
    else:
        from mergekit.config import MergeConfiguration
        from mergekit.merge import run_merge
        from mergekit.options import MergeOptions

        config = MergeConfiguration.model_validate(config_of(method, folder))
        options = MergeOptions(copy_tokenizer=False, quiet=True, write_model_card=False)

        def work():
            return run_merge(config, str(out), options)

    before, peak, over = anonymous(), [0], threading.Event()

    def watch():
        while not over.wait(0.01):
            peak[0] = max(peak[0], anonymous())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started = time.process_time()
    work()
    seconds = time.process_time() - started
    over.set()
    watcher.join()
    print(json.dumps({"cpu_seconds": seconds, "anonymous_mb": (peak[0] - before) / 1e6}))


def anonymous() -> int:
    """Anonymous memory of this process in bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


def measure(who: str, method: str, folder: Path, out: Path) -> dict:
    """One merge in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.merging", "--child", who, method, str(folder), str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TRANSFORMERS_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    shutil.rmtree(out, ignore_errors=True)
    if done.returncode:
        raise SystemExit(f"{who} failed on {method}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main(methods: list[str]) -> None:
    """Measure both in turn, and ours with twice the layers; write the results."""
    before = RESULTS / "merging.json"
    rows = json.loads(before.read_text())["rows"] if before.is_file() else {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make(folder / "models", LAYERS)
        make_spoken(folder / "models")
        for method in methods:
            whose = ("mixdesk",) if method in ALONE else ("mixdesk", "mergekit")
            pairs = [[measure(who, method, folder / "models", folder / "out") for who in whose] for _ in range(REPEATS)]
            ratios = sorted(one[1]["cpu_seconds"] / one[0]["cpu_seconds"] for one in pairs if len(one) > 1)
            rows[method] = {
                "ratio": ratios[len(ratios) // 2] if ratios else None,
                "ratios": ratios,
                "target": TARGETS.get(method),
                "date": date.today().isoformat(),
                "machine": processor(),
                "cpu_seconds": [min(one[k]["cpu_seconds"] for one in pairs) for k in range(len(whose))],
                "anonymous_mb": [max(one[k]["anonymous_mb"] for one in pairs) for k in range(len(whose))],
                "estimated_mb": estimated(method, folder / "models"),
            }
            print(method, json.dumps(rows[method]), flush=True)
        shutil.rmtree(folder / "models")
        make(folder / "models", 2 * LAYERS)
        make_spoken(folder / "models")
        for method in methods:
            rows[method]["anonymous_mb_twice"] = measure("mixdesk", method, folder / "models", folder / "out")[
                "anonymous_mb"
            ]
    report = {
        "command": "python -m benchmarks.merging",
        "date": date.today().isoformat(),
        "rows": rows,
    }
    write_json(RESULTS / "merging.json", report)
    (RESULTS / "merging.md").write_text(page(report))
    print(page(report))


def page(report: dict) -> str:
    """The report as Markdown."""
    lines = [
        "# Merging against mergekit 0.1.5",
        "",
        f"`{report['command']}`; each row on its date. A base and 3 experts (slerp, "
        "arcee_fusion, passthrough: 1) of 217 million parameters, bf16, one thread each; union: three models of two "
        "layers with 32,000 tokens they share and 4 of their own each, without a base. "
        f"Measured {REPEATS} pairs in turn: median ratio of CPU seconds (least to greatest), least CPU "
        "seconds, and the peak of anonymous memory above the start; estimated is what preflight says. Methods without "
        "mergekit's figures are not in mergekit.",
        "",
        "| method | times less CPU | aim | CPU s, ours | CPU s, mergekit | MB, ours | MB, ours, twice the layers | "
        "MB, estimated | MB, mergekit | date |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for method, row in report["rows"].items():
        alone = row["ratio"] is None
        ratio = "" if alone else f"{row['ratio']:.1f} ({row['ratios'][0]:.1f} to {row['ratios'][-1]:.1f})"
        theirs = ("", "") if alone else (f"{row['cpu_seconds'][1]:.2f}", f"{row['anonymous_mb'][1]:.0f}")
        lines.append(
            f"| {method} | {ratio} | {row['target'] or ''} | {row['cpu_seconds'][0]:.2f} | {theirs[0]} | "
            f"{row['anonymous_mb'][0]:.0f} | {row['anonymous_mb_twice']:.0f} | {row['estimated_mb']:.0f} | "
            f"{theirs[1]} | {row['date']} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], Path(sys.argv[4]), Path(sys.argv[5]))
    else:
        main(sys.argv[1:] or [*CASES, *ALONE])
