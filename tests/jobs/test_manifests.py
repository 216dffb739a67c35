"""What readers take of a corpus' manifest: what they add up is there, or the manifest is refused."""

import pytest

from engine.core.errors import Problem
from engine.corpus.report import report
from engine.jobs.manifests import DomainFacts

FILES = {"found": 3, "read": 2, "beyond_cap": 1, "paths": ["a", "b"]}


@pytest.mark.parametrize("lacking", ["read", "beyond_cap"])
def test_files_are_counted_whole_or_refused(lacking):
    with pytest.raises(Problem, match="Cannot read a domain's files"):
        DomainFacts.read({"train_tokens": 5, "files": {k: v for k, v in FILES.items() if k != lacking}}, "it")
    assert DomainFacts.read({"train_tokens": 5, "files": FILES}, "it").files == FILES
    assert DomainFacts.read({"train_tokens": 5, "files": {"found": 0}}, "it").files == {"found": 0}


@pytest.mark.parametrize("odd", [{"answers": {"train": 4}}, {"conversations": 2}, {"answers": "many"}])
def test_answers_come_with_their_conversations(odd):
    with pytest.raises(Problem):
        DomainFacts.read({"train_tokens": 5, **odd}, "it")


def test_what_was_skipped_before_it_was_counted_is_told():
    """Manifests of before say which files were skipped, and not how many of each domain."""
    domains = {"web": {"train_tokens": 5, "files": FILES}}
    told = report({"domains": domains, "skipped": [{"path": "x", "reason": "damaged"}]})
    assert "Text from 2 of 3 files." in told["text"] and "Could not be read" in told["text"]
