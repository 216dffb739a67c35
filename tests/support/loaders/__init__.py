"""The loaders that exports are for: each file here makes small data, runs one on an export, and counts what comes out.

Each is a program of its own, `python -m tests.support.loaders.<file> ORDER`, because the packages must not meet those
of Mixdesk: `make soak` puts them into .venv/loaders. tests/recipes/test_loaders.py runs them all.
"""

LOADERS = {  # format -> the file here that runs its loader
    "litgpt": "litgpt",
    "megatron": "megatron",
    "nemo": "megatron",
    "nanotron": "nanotron",
    "streaming": "streaming",
    "hf_datasets": "hf_datasets",
    "olmo_core": "olmo_core",
    "olmix": "olmo_core",
    "torchtitan": "torchtitan",
    "levanter": "levanter",
}
