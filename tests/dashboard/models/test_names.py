"""Names and colours on the page: short where that is clear, whole where not; a domain's loss has its colour."""

from dashboard.models.colours import PALETTE, colour_of
from dashboard.models.names import named
from engine.spec.objectives import Objective


def test_a_loss_bears_its_domains_name_and_colour():
    domains = ["train_arxiv", "train_web"]
    objectives = [Objective("web_val_loss", domain="train_web"), Objective("mmlu_acc", "accuracy", True)]
    names = named(domains, objectives)
    assert names.coordinates == ["arxiv", "web"] and names.metrics == ["web", "mmlu_acc"]
    assert [names.colours[name] for name in ("arxiv", "web", "mmlu_acc")] == list(PALETTE[:3])
    assert names.units == ["bits per byte", "accuracy"]


def test_a_metric_is_never_taken_for_a_domain_or_another_metric():
    objectives = [Objective("eval/web", "score", True), Objective("eval/code", "score", True)]
    assert named(["web", "code"], objectives).metrics == ["eval/web", "eval/code"]
    twice = [Objective("web_loss", domain="web"), Objective("web_bpb", domain="web")]
    assert named(["web", "code"], twice).metrics == ["web_loss", "web_bpb"]


def test_a_hundred_domains_have_a_hundred_colours():
    colours = colour_of([f"d{i}" for i in range(100)])
    assert len(set(colours.values())) > 95 and all(len(colour) == 7 for colour in colours.values())
