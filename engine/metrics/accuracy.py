"""The accuracy of the next token: how many of a domain's tokens the model finds most likely. It depends on the
tokenizer, so only models of one tokenizer compare."""

from engine.metrics.base import Metric, ratio

METRIC = Metric(
    name="accuracy",
    label="{domain} accuracy",
    unit="accuracy",
    higher_is_better=True,
    score=lambda prediction: prediction.logits.argmax(-1) == prediction.targets,
    value=lambda hits, text: ratio(hits, text.tokens),
)
