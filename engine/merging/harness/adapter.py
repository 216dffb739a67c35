"""A model as lm-evaluation-harness asks it: the probability of answers and of whole texts, and continuations.

What it is asked in tokens is what our own metrics of tasks ask (engine/metrics/models.py), so an answer has the same
probability here and there. Imports the harness: only the job does so, where it is installed.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from engine.core.errors import Problem
from engine.metrics.items import until
from engine.metrics.models import Ids, Models, Question, question

TOGETHER = 64  # answers, or texts, between two reports
CONTINUED = 8  # prompts that are continued together
KNOWN = {"until", "max_gen_toks", "do_sample", "temperature"}  # of how answers are generated
Tell = Callable[[int, int, str], None]


class HarnessModel(LM):
    """models: of one member; prefix: the tokens before a text that has none before it, as in `models.begin`, or what
    stands in for them; tell: told (done, total, what) between requests, and may raise Stopped; cut: told each prompt
    that lost its beginning to fit the context. asked: whether any request has come.
    """

    def __init__(self, models: Models, prefix: Ids, tell: Tell, cut: Callable[[str], None]) -> None:
        super().__init__()
        self.models, self.prefix, self.tell, self.cut = models, prefix, tell, cut
        self.asked = False

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """The log-probability of each answer after its prompt in nats, and whether it is what the model would write."""
        found = []
        for part in self._parts(requests, TOGETHER, "answers"):
            questions = [self._question(*one.args) for one in part]
            scored = self.models.scored([one.ids or [] for one in questions])
            for request, one, (nats, first) in zip(part, questions, scored, strict=True):
                if one.cut:
                    self.cut(request.args[0])
                own = slice(one.start - 1, None)
                answer = -float(nats[0, own].sum()), bool(first[0, own].all())
                found.append(self._kept("loglikelihood", request, answer))
        return found

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """The log-probability of each text in nats: every token once, with as much before it as the context holds."""
        found = []
        for part in self._parts(requests, 1, "texts"):
            (text,) = part[0].args
            windows = self._windows(self.models.encode(text))
            nats = self.models.nats([[*before, *own] for before, own in windows])
            total = sum(float(one[0, -len(own) :].sum()) for one, (_, own) in zip(nats, windows, strict=True))
            found.append(self._kept("loglikelihood_rolling", part[0], -total))
        return found

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """How the model continues each prompt, up to the first text that stops it."""
        found: list[str] = []
        for part in self._parts(requests, CONTINUED, "continuations"):
            for settings, group in itertools.groupby(part, lambda one: one.args[1]):
                own = list(group)
                texts = self._continued([one.args[0] for one in own], settings, len(found))
                found += [self._kept("generate_until", one, text) for one, text in zip(own, texts, strict=True)]
        return found

    def _parts(self, requests: Sequence[Instance], size: int, what: str) -> Iterator[Sequence[Instance]]:
        """The requests, a few at a time, with a report before each and at the end."""
        self.asked, self.report = True, lambda done: self.tell(done, len(requests), f"{done} of {len(requests)} {what}")
        for start in range(0, len(requests), size):
            self.report(start)
            yield requests[start : start + size]
        self.report(len(requests))

    def _kept(self, kind: str, request: Instance, answer):
        """An answer, which the harness keeps: a job that was stopped goes on after it."""
        self.cache_hook.add_partial(kind, request.args, answer)
        return answer

    def _question(self, prompt: str, answer: str) -> Question:
        """The tokens of an answer after its prompt. Raises Problem where they cannot be asked."""
        if not prompt and not self.models.begin:
            ids = [*self._before_all(), *self.models.encode(answer)]
            asked = Question(ids, len(self.prefix), False) if len(ids) <= self.models.context + 1 else None
        else:
            asked = question(self.models, prompt, answer)
            asked = asked if asked.ids is not None else None
        if asked is None or not answer:
            raise Problem(
                f"Cannot ask for the answer {answer!r:.60}: it has no token, or more than the context of "
                f"{self.models.context}. Use a model of a longer context, or a task of shorter items."
            )
        return asked

    def _windows(self, tokens: Ids) -> list[tuple[Ids, Ids]]:
        """A text in windows of the context: what is read, and what is predicted after it."""
        before = self._before_all()[-1]
        return [make_disjoint_window(one) for one in get_rolling_token_windows(tokens, before, self.models.context, 1)]

    def _before_all(self) -> Ids:
        """The tokens before a text. Raises Problem where there are none."""
        if not self.prefix:
            raise Problem(
                "Cannot ask for the probability of a text's first token: the model's tokenizer has neither a token "
                "for the beginning of a text nor one for its end. Use a task that asks for answers after a prompt."
            )
        return self.prefix

    def _continued(self, prompts: list[str], settings: dict, seed: int) -> list[str]:
        asked = normalize_gen_kwargs(settings)
        if odd := sorted(name for name in asked.keys() - KNOWN if asked[name] is not None):
            raise Problem(
                f"Cannot generate answers by {odd[0]!r}: the settings known here are {', '.join(sorted(KNOWN))}. "
                "Leave it out of the task's generation_kwargs."
            )
        stops = [one for one in asked["until"] if one]
        begin = self.models.begin
        rows = [[*begin, *self.models.encode(one)] or self._before_all() for one in prompts]

        def ends(text: str) -> bool:
            self.report(seed)  # one token may take a while
            return any(stop in text for stop in stops)

        (texts,) = self.models.generate(rows, asked["max_gen_toks"], asked.get("temperature", 0.0), seed, ends)
        for prompt, row, text in zip(prompts, rows, texts, strict=True):
            if len(row) + len(self.models.encode(text)) - 1 > self.models.context:
                self.cut(prompt)
        return [until(text, stops) for text in texts]
