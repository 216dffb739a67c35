"""Headless commands: each takes the store and plain values and returns plain values.

The page's process serves the same table over HTTP (dashboard/server/api.py), and `python -m engine` calls it either
there or, if no page runs, in its own process. So a command behaves the same everywhere.
"""

from engine.commands import corpora, imports, jobs, ledger, merges, recipes, reviews, rounds, runs, studies, tokens

COMMANDS = {
    command.__name__: command
    for subject in (corpora, jobs, studies, rounds, ledger, merges, imports, runs, reviews, recipes, tokens)
    for command in subject.COMMANDS
}
ALIASES = {"put_forward": "nominate", "wishes": "targets"}  # as versions before 0.3 called them

# They change nothing, whoever calls them.
READ_ONLY = frozenset(
    {
        "list_corpora",
        "job",
        "list_jobs",
        "job_log",
        "list_studies",
        "show",
        "list_runs",
        "list_searches",
        "export",
        "formats",
        "trade_off",
        "targets",
        "repetition",
        "list_proposals",
        "plan_confirmation",
        "ledger",
        "trust",
        "scale",
        "value_source",
        "plan_runs",
        "preview_import",
        "fitted",
        "predict",
        "list_sizes",
        "list_candidates",
        "dossier",
        "compare_candidates",
        "history",
        "merge_searches",
        "merge_as_proxy",
        "learned_merges",
        "list_tokens",
    }
)
