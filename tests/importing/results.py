"""What tests of harnesses' results share: runs with mixtures, and a results file as lm-evaluation-harness writes it."""

import numpy as np

from tests.importing.reading import written

RUNS = [f"run-{n}" for n in range(6)]
SHARES = np.random.default_rng(3).dirichlet(np.ones(2), len(RUNS)).round(6)
ARC = [0.25 + 0.01 * n for n in range(len(RUNS))]  # accuracy of each run


def newest(arc=0.31, model="org/model", **more):
    """A results file of version 0.4, with a group, filters and metrics that have no error."""
    return {
        "results": {
            "arc_easy": {"alias": "arc_easy", "acc,none": arc, "acc_stderr,none": 0.011, "acc_norm,none": arc + 0.02},
            "gsm8k": {
                "alias": "gsm8k",
                "exact_match,strict-match": 0.02,
                "exact_match_stderr,strict-match": "N/A",
                "exact_match,flexible-extract": arc / 9,
                "exact_match_stderr,flexible-extract": 0.004,
            },
            "wikitext": {
                "alias": "wikitext",
                "word_perplexity,none": 30 - 9 * arc,
                "word_perplexity_stderr,none": "N/A",
            },
            "odd": {"alias": "odd", "jolts,none": arc * 2, "jolts_stderr,none": 0.1},
            "mmlu": {"acc,none": 0.26, "acc_stderr,none": 0.003, "alias": "mmlu"},
            "leaderboard": {" ": " ", "alias": "leaderboard"},
        },
        "groups": {"mmlu": {"acc,none": 0.26, "alias": "mmlu"}},
        "group_subtasks": {"mmlu": ["mmlu_law"], "leaderboard": ["arc_easy"], "arc_easy": []},
        "configs": {
            "arc_easy": {"output_type": "multiple_choice", "doc_to_choice": ["A", "B", "C", "D"], "metric_list": []},
            "gsm8k": {"output_type": "generate_until"},
            "wikitext": {"output_type": "loglikelihood_rolling"},
            "odd": {"doc_to_choice": "{{choices.text}}"},
        },
        "versions": {"arc_easy": 1.0, "gsm8k": 3.0},
        "n-shot": {"arc_easy": 0, "gsm8k": 5},
        "higher_is_better": {
            "arc_easy": {"acc": True, "acc_norm": True},
            "gsm8k": {"exact_match": True},
            "wikitext": {"word_perplexity": False},
            "odd": {"jolts": False},
        },
        "n-samples": {"arc_easy": {"original": 2376, "effective": 500}, "gsm8k": {"original": 1319, "effective": 1319}},
        "config": {"model": "hf", "model_args": f"pretrained={model},dtype=float32"},
        "date": 1764500000.5,
        "model_name": model,
        **more,
    }


def mixtures(path, key="run"):
    return written(path, {key: RUNS, "web": SHARES[:, 0], "code": 1 - SHARES[:, 0]})
