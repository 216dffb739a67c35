"""Cases that a test makes, instead of lying here as files: each with what must come out, and the tests that show it.

A row is a trouble that somebody had once. Tables of runs lie in tables/ (test_tables.py).
"""

import ast

import pytest

from tests.support.running import ROOT

CHECKPOINTS, MERGING = "merging/checkpoints/test_", "merging/test_"
CASES = {  # case: (what must come out, the file and the test)
    "corpus_dropped_domains": (
        "every file beside sub-folders, and every packed one, is a domain or named with the reason",
        ("corpus/test_folders.py", "test_files_beside_folders_are_domains_and_all_else_is_named"),
        ("corpus/test_folders.py", "test_a_whole_domain_is_left_out_only_if_that_is_asked_for"),
    ),
    "corpus_formats": (
        "records of every kind, packing and coding are read; what holds no text is named; a bad byte costs its line",
        ("corpus/test_formats.py", "test_records_in_every_kind_packing_and_coding"),
        ("corpus/test_formats.py", "test_columns_of_parquet"),
        ("corpus/test_formats.py", "test_what_a_name_does_not_say_is_named"),
        ("corpus/test_formats.py", "test_what_is_wrong_with_a_line_costs_that_line"),
    ),
    "journals": (
        "a deep, huge or odd line is set aside, and ingest, start and rebuild go on",
        ("system/test_journals.py", "test_bad_lines_stop_nothing"),
        ("system/test_changed_lines.py", "test_a_changed_line_stops_nothing"),
    ),
    "consolidated, stray_safetensors": (
        "what the index or the loader's rule says is read; the rest is named",
        (f"{CHECKPOINTS}files.py", "test_a_stray_file_is_named_and_not_read"),
    ),
    "tied_index": (
        "an index that names a tied head is read",
        (f"{CHECKPOINTS}files.py", "test_an_index_may_name_a_tied_head"),
    ),
    "quantised": (
        "a quantised expert is refused as such",
        (f"{CHECKPOINTS}quantised.py", "test_by_its_config"),
        (f"{CHECKPOINTS}quantised.py", "test_by_its_tensors"),
    ),
    "adapters": (
        "other kinds than LoRA are refused by kind before names are looked up; LoRA merges as PEFT merges it, tied too",
        (f"{CHECKPOINTS}adapters.py", "test_other_kinds_are_named_before_their_tensors_are_looked_up"),
        (f"{CHECKPOINTS}adapters_as_peft.py", "test_on_a_tied_model_peft_merges_to_the_same"),
    ),
    "grown_adapter": (
        "a grown adapter writes a checkpoint that loads, with its tokenizer and template",
        (f"{MERGING}companions.py", "test_a_grown_adapter_makes_a_model_that_loads"),
    ),
    "vl_adapter_names": (
        "adapter names before and after the renaming of vision-language models meet",
        (f"{CHECKPOINTS}naming.py", "test_adapters_of_before_and_after_the_renaming_meet"),
    ),
    "name-prefix-only": (
        "old names meet new ones: GPT-2 and BERT with and without their prefix, gamma and beta",
        (f"{CHECKPOINTS}naming.py", "test_old_names_merge_with_new_ones"),
    ),
    "moe-fused-and-split": (
        "experts fused in one file and split in another are recognised, or named",
        (f"{CHECKPOINTS}experts.py", "test_two_layouts_of_transformers_merge"),
        (f"{CHECKPOINTS}experts.py", "test_other_layouts_are_named"),
    ),
    "sentence-transformer-folders": (
        "the folder keeps its modules",
        (f"{MERGING}companions.py", "test_modules_come_along"),
    ),
    "vl_gradient": (
        "depth is counted in each stack",
        (f"{MERGING}stacks.py", "test_gradients_run_over_each_stack"),
    ),
    "vl_slices": (
        "slices of a model of several stacks are refused where no module says which is meant",
        (f"{MERGING}stacks.py", "test_slices_are_refused"),
        (f"{MERGING}modules.py", "test_stacks_are_assembled_apart"),
    ),
    "added_tokens": (
        "rows of tokens that only one knows are told; a union keeps them, with the tensors of mergekit",
        (f"{MERGING}tokens.py", "test_rows_of_tokens_that_only_one_knows"),
        (f"{MERGING}mergekit_files.py", "test_a_file_of_mergekit_gives_its_tensors"),
        (f"{MERGING}token_rules.py", "test_a_union_loads_and_encodes_as_promised"),
    ),
    "reserved_tokens": (
        "two tokens with one number are refused, but for reserved ones, which merge by number, or by choice by name",
        (f"{MERGING}tokens.py", "test_two_tokens_with_one_number_are_refused"),
        (f"{MERGING}token_rules.py", "test_renamed_reserved_tokens_by_choice"),
    ),
    "mergekit_yaml": (
        "what a merge file holds is carried out as mergekit does, or refused in a sentence",
        (f"{MERGING}refused.py", "test_a_bad_merge_file_is_a_sentence"),
        (f"{MERGING}mergekit_files.py", "test_a_file_of_mergekit_gives_its_tensors"),
        (f"{MERGING}documents.py", "test_later_merges_use_earlier_ones_whatever_their_order"),
    ),
    "litgpt-shared-loader": (
        "what the loader delivers is what was asked: counted, chunk by chunk",
        ("recipes/test_loaders.py", "test_what_comes_out_is_what_was_asked"),
    ),
    "export-all-path-with-space": (
        "a path that one format refuses is no matter of the others",
        ("cli/test_command_line.py", "test_a_path_that_one_format_refuses_is_no_matter_of_the_others"),
    ),
    "fit-wait": (
        "a fit that is queued already is named, and waited for",
        ("commands/test_waiting.py", "test_a_fit_is_named_whatever_its_state"),
    ),
    "predict-out-special": (
        "an output that is a pipe, a link or a device is refused",
        ("cli/test_files.py", "test_what_is_no_file_is_never_written_over"),
    ),
    "process-substitution": (
        "a table may come through a pipe",
        ("cli/test_files.py", "test_a_table_may_come_through_a_pipe"),
    ),
    "oidc_entra": (
        "claims of a provider without e-mails let in whom access.toml names, by groups too",
        ("core/test_access.py", "test_claims_of_a_provider_without_emails"),
        ("core/test_access.py", "test_groups_give_roles"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_case_is_made_by_a_test_that_is_there(case):
    told, *shown = CASES[case]
    assert told and shown
    for file, test in shown:
        tree = ast.parse((ROOT / "tests" / file).read_text())
        found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == test]
        assert len(found) == 1, (file, test)
