"""What the name of a column says that it is: a metric, its noise, a setting, a size, a step, ...

Trackers put a word in front that says whose the column is: `config.lr`, `params.lr`, `params_lr`, `summary.loss`.
"""

import math
import re

from engine.spec.objectives import BITS
from engine.spec.objectives import SCORE as UNTOLD

LAYOUT = re.compile(
    r"^(config|summary|params?|metrics|tags|user_attrs|system_attrs|hparams|hyperparameters)[._/]", re.I
)
HARD = re.compile(r"[/.:|]")  # between the parts of a path; _ and - stand inside words too
SOFT = re.compile(r"[/.:|_\- ]")

SETS = "metrics?|eval|val|valid|validation|test"
AROUND = re.compile(rf"^({SETS}|summary)[/_.:]|[/_.:]({SETS})$", re.I)
LOSS = re.compile(
    r"(?<![a-z])(loss(es)?|bpb|bits_per_\w+|bpc|ppl|perplexity|nll|ce|cross_?entropy|error|err|rmse|mse|mae|wer|cer|brier|ece)"
    r"(?![a-z])",
    re.I,
)
SCORE = re.compile(
    r"(?<![a-z])(acc|accuracy|acc_norm|scores?|f1|em|exact_match|bleu|chrf|meteor|rouge\w*|pass|pass@?\d*|reward|win_?rate|mcc|auc|precision|"
    r"recall|\w*log_?prob|log_?likelihood|choice_prob\w*)(?![a-z])",
    re.I,
)
RATE = re.compile(r"(?<![a-z])(error|err|wer|cer|ece)(?![a-z])", re.I)
NO_RATE = re.compile(r"(?<![a-z])(rewards?|elo|\w*log_?prob|log_?likelihood)(?![a-z])", re.I)  # of what goes up
# Of scores that may be below 0.
BELOW_0 = re.compile(r"(?<![a-z])(scores?|mcc|normali[sz]ed|adjusted|corrected|cent(er|re)ed|vs)(?![a-z])", re.I)
# What turns a metric's direction round: neg_loss (scikit-learn), negative_log_likelihood, -loss.
NEGATED = re.compile(r"(?<![a-z])(neg(ative|ated)?|minus)(?![a-z])|^\s*[-\u2212]", re.I)
# Of losses and errors that may be below 0: what is left of them beyond another one.
BEYOND = re.compile(r"(?<![a-z])(excess|regret|gap|delta|diff\w*|rel(ative)?|gain|log)(?![a-z])", re.I)
UNITS = {"bpb": BITS, "bits_per_byte": BITS, "ppl": "perplexity", "perplexity": "perplexity", "acc": "accuracy"}
UNITS |= {"acc_norm": "accuracy", "accuracy": "accuracy"}
SHARE_WORDS = {
    *("train", "weight", "weights", "w", "share", "shares", "mix", "mixture", "mixtures", "prop", "proportion"),
    *(
        "proportions",
        "ratio",
        "ratios",
        "fraction",
        "fractions",
        "frac",
        "sampling",
        "probs",
        "tokens",
        "logit",
        "logits",
    ),
}
# Words that stand in front of shares, but of much else as well: the sum must say so too.
LOOSE_WORDS = {"train", "tokens", "ratio", "ratios", "frac", "fraction", "fractions"}

# What is the first or last of its kind in a text, or the largest of a model, is none: first_token_loss, max_len_acc.
PARTS = "token|word|sentence|line|turn|step|layer|block|chunk|half|quarter|third|position|answer|len|length|seq|k"
OF_PARTS = rf"[_\-. /](?:\d+[_\-. /]?)?(?:{PARTS})s?(?![a-z])"
# Names of spreads; SemEval is a benchmark, and a std_lib no deviation.
SURE_NOISE = re.compile(
    r"(?<![a-z])(std_?err(or)?|std_?dev|stdev|std(?![_-]?lib)|variance|standard_(error|deviation)|sem(?![_-]?eval))"
    r"(?![a-z])",
    re.I,
)
MAYBE_NOISE = re.compile(
    r"(?<![a-z])(se|sd|sdev|var|sigma|mad|iqr|spread|margin|half_?width|err(or)?|uncertainty|unc"
    r"|ci([_ -]?\d\d)?([_ -]?(low|high|lower|upper|half))?|bootstrap_(se|sd)|jackknife"
    r"|plus_?minus)(?![a-z\d])|±|\+/-",
    re.I,
)
LEVEL = re.compile(r"(?<!\d)\d\d(\.\d)?\s*%?[ _-]*$")  # of an interval: `val_loss (95% CI)`
MIDDLES = ("mean", "Mean", "avg", "average", "median", "p50", "estimate")  # of a metric beside its spread
# Words that make of a metric's name that of something else about it: another statistic, how often, how sure, compared
# with what.
ABOUT = re.compile(
    r"(?<![a-z])(min(imum)?|max(imum)?|lower|upper|n|num|count|samples|examples|rank|delta|diff|(vs_)?baseline|vs_[a-z]+|improvement|normali[sz]ed"
    r"|smoothed|ema|best|pred(icted|iction)?|p_?value|z_?score|t_?stat"
    r"(istic)?|cov|cv|rel(ative)?_err(or)?|initial|first|q\d+|p\d\d|quantile_?\d*|percentile_?\d*)(?![a-z\d])"
    rf"(?!{OF_PARTS})",
    re.I,
)
# What is told beside a metric, in front of its name or behind: over how many, when it was reached, how long that took,
# where the run stands among others.
# Loggers call a loss itself after the step or the epoch that it is of: whole numbers alone tell.
COUNTED = "n|num|counts?|runs|seeds?|trials|index|idx|time|seconds|secs|minutes|hours|date|ranks?|ranking|percentile"
WHEN = "steps?|iters?|iterations?|epochs?|updates|batch(?:es)?|samples|examples|tokens"
BESIDE = re.compile(
    rf"(?:(?P<first>n|num|counts?|steps?|epochs?|iters?|ranks?)_|(?P<to>{COUNTED}|{WHEN})_(?:of|to|at|for)_)?(?P<of>.+?)"
    rf"(?:_(?P<last>{COUNTED}|{WHEN}))?",
    re.I,
)
BOUNDS = {"lo": "hi", "hi": "lo"}  # names of languages, too: they count where both stand beside the metric
# How much a part of the loss counts in training: a setting, though it is called after a loss.
COEFFICIENT = re.compile(
    r"\w*(loss|kl|entropy|reg(ulari[sz]ation|ularizer)?)_(weight|scale|factor|lambda|ratio|alpha|beta)s?|"
    r"\w+_(coef|coeff|coefficient|penalty|multiplier)s?",
    re.I,
)
ACROSS = re.compile(  # names of columns that say what a row of a long table is about
    r"(domain|source|data_?set|sub_?set|task|metric|eval|benchmark|variable|valid(ation)?(_?(set|split))?|split|corpus|"
    r"slice|category|lang(uage)?|measure|param(eter)?)s?(_?names?)?",
    re.I,
)
SYSTEM = re.compile(r"(sys|system|monitoring|host|hardware)[/.]", re.I)  # what a tracker says of the machine
COMPUTE = re.compile(r"(?<![a-z])(total_)?(flops?|flos)(?![a-z]|_per_)", re.I)  # what a run cost in arithmetic
REMARK = re.compile(  # names of texts about a run
    r"role|label|job(_?id)?|user(_?name)?|author|owner|entity|notes?|comments?|description|message|\w*uri|url|"
    r"(git_)?commit",
    re.I,
)

_KINDS = {
    "seed": r"(?!(n|num|number_of|total)_)(\w+_)?seeds?|rep|repeat|repetition|replicate|replica",
    "size": r"model_?size|((non_?)?embedding_|total_|trainable_|active_|model_)?(n_?|num_?)?param(eter)?s|size",
    "budget": r"(n|num|train|training|total|seen|consumed)_?tokens|tokens(_seen)?|token_budget|num_input_tokens_seen",
    "step": r"_?step|global_?step|iter|iteration|_?epoch|num_updates|checkpoint_?step|"
    r"(model_)?(checkpoint|ckpt)(_?(num(ber)?|id|name))?|revision",
    "key": r"index|id|#|number|trial(_?(id|number))?|run_?(id|name|number)?|name|key|uuid|experiment(_?(id|name))?"
    r"|mlflow\.runname|runname|display_?name|(log|space)_id",
    "state": r"state|status|outcome|(exit|return)_?(code|status)|"
    r"(is_)?(success(ful)?|succeeded|finished|completed|converged|failed|crashed|diverged|oom)|"
    r"(is_)?((in|un)?usable|invalid|included?|excluded?|discard(ed)?|ignored?|skipped|outlier|unfinished|broken)|"
    r"ok|(is|run)_(valid|ok|good|bad)|(valid|good|bad)_run",
    "time": r"_?runtime|_?timestamp|(created|updated|started|ended)(_?at)?|finished_?at|(\w+_)?time|duration|"
    r"datetime_\w+|"
    r"(\w+_)?(seconds|minutes|hours)|elapsed(_\w+)?|wall time|relative time.*|heartbeat(_\w+)?|date",
    "machine": r"\w+_per_sec(ond)?|throughput|mfu|t?flops?|total_flos|memory(_\w+)?|gpus?(_\w+)?|num_?gpus|n_?gpus|"
    r"world_size|cost|device|host(name)?|(\w+_)?grad(ient)?_?norm|_wandb.*|system[/.].*|sweep|git(_\w+)?",
    "count": r"((n|num|number_of|total)_)?(examples|samples|questions)|(n|num)_docs|(example|sample|doc)_(count|len)|"
    r"(n|num|number_of|total)_(seeds|runs|trials|repeats)|count|n_shot|num_fewshot|n|batch|workers",
    "setting": r"((max|min|peak|base|init|initial|final|end)_)?(lr|learning_?rate)(_\w+)?|\w*warm_?up(_\w+)?|"
    rf"{COEFFICIENT.pattern}|(\w+_)?(mask|mlm|keep|drop)_?prob(ability)?|rope_\w+|"
    r"(\w+_)?weight_?decay|wd|(\w+_)?dropout(_\w+)?|(\w+_)?beta_?[12]?s?|adamw?(_\w+)?|optim(izer)?(_\w+)?|momentum|"
    r"eps(ilon)?|(\w+_)?batch_?size(_\w+)?|bs|grad(ient)?_?accum\w*|(grad(ient)?_)?clip(ping)?(_\w+)?|max_grad_norm|"
    r"(seq|sequence|context|ctx|block|max)_?(len|length|size)|(\w+_)?layers?|depth|width|n_embd|d_(model|ff)|"
    r"(hidden|embedding|vocab|intermediate)_?(size|dim)|(\w+_)?heads|(\w+_)?temperature|top_[pk]|label_smoothing|"
    r"ema(_\w+)?|z_loss_\w+|(max|total|num|n)_?(train(ing)?_)?(steps|epochs|iters|iterations)|decay(_\w+)?|"
    r"(lr_)?scheduler?(_\w+)?|alpha|gamma|lora_\w+|tau",
}
KINDS = {kind: re.compile(pattern, re.I) for kind, pattern in _KINDS.items()}
REASONS = {
    "seed": "named like a seed",
    "size": "named like a model's size",
    "budget": "named like a number of tokens",
    "step": "named like a step of training",
    "key": "names or numbers the runs",
    "state": "how the run ended",
    "time": "a time or a duration",
    "machine": "about the machine or the trainer",
    "count": "a count",
    "beside": "told beside a metric: over how many it is, when it was reached, or where the run stands among others",
    "setting": "named like a setting of the trainer",
}


def bare(name: str) -> str:
    """A column's name without the word that a tracker puts in front."""
    return LAYOUT.sub("", name, count=1) or name


def leaf(name: str) -> str:
    """The last part of a column's name: train/global_step -> global_step."""
    return HARD.split(bare(name))[-1] or bare(name)


def kind_of(name: str) -> str | None:
    """What a column is by its name, as in REASONS; None where the name tells nothing of that."""
    last, whole = leaf(name), bare(name)
    found = [kind for kind, pattern in KINDS.items() if pattern.fullmatch(last) or pattern.fullmatch(whole)]
    if SYSTEM.match(name):  # a file's size is none of a model's
        return next((kind for kind in found if kind in ("key", "state", "time")), "machine")
    return next(iter(found), None)


def is_across(name: str) -> bool:
    """Whether a column is called like what a row of a long table is about."""
    return bool(ACROSS.fullmatch(leaf(name)))


def is_inside(name: str) -> bool:
    """Whether a column's path goes through shares: mixture.web.tokens."""
    return bool({part.lower() for part in HARD.split(bare(name))[:-1]} & (SHARE_WORDS - LOOSE_WORDS))


def measures(name: str) -> bool:
    """Whether a column is called like a metric."""
    if COEFFICIENT.fullmatch(leaf(name)) or SYSTEM.match(name):
        return False
    return bool(LOSS.search(name) or SCORE.search(name) or re.match(r"metrics?[/_.:]|values?(_\w+)?$", name))


def is_beside(name: str, whole: bool) -> bool:
    """Whether a column tells over how many, or when, a metric was measured, by its name. whole: its numbers are."""
    for called in (leaf(name), bare(name)):
        found = BESIDE.fullmatch(SOFT.sub("_", called))
        if found is None or not (LOSS.search(found["of"]) or SCORE.search(found["of"])):
            continue
        words = [word for word in (found["first"], found["to"], found["last"]) if word]
        if words and (whole or any(re.fullmatch(COUNTED, word, re.I) for word in words)):
            return True
    return False


def impossible(metric: str) -> float:
    """The largest value that a metric cannot have, by its name: a loss of text is above 0, a perplexity above 1, an
    error or an accuracy not below 0; minus infinity for all others."""
    if NEGATED.search(metric) or BEYOND.search(metric):
        return -math.inf
    if not (found := LOSS.search(metric)):
        free = not SCORE.search(metric) or NO_RATE.search(metric) or BELOW_0.search(metric)
        return -math.inf if free else -1e-12
    if re.match("ppl|perplexity", found[1], re.I):
        return 1.0
    return -1e-12 if re.match("err|rmse|mse|mae|wer|cer|brier|ece", found[1], re.I) else 0.0


def is_up(name: str) -> bool | None:
    """Whether higher is better by a metric's name; None where it does not tell."""
    found = False if LOSS.search(name) else True if SCORE.search(name) else None
    return found if found is None else found != bool(NEGATED.search(name))


def may_be_rate(metric: str, higher: bool) -> bool:
    """Whether a metric may be a fraction or a percent, by its name and direction: scores, and rates of errors."""
    return not NO_RATE.search(metric) if higher else bool(RATE.search(metric))


def unit_of(name: str) -> str:
    """A metric's unit as far as its name tells: else "loss" or "score"."""
    found = LOSS.search(name) or SCORE.search(name)
    return UNITS.get(found.group(1).lower(), "loss" if LOSS.search(name) else UNTOLD) if found else UNTOLD


def core(metric: str) -> str:
    """A metric's name without what says that it is one: metric/the_pile_arxiv_val_loss -> the_pile_arxiv."""
    before, name = None, LOSS.sub("", metric)
    while name != before:
        before, name = name, AROUND.sub("", name).strip("/_.:-")
    return name or metric


def is_spread(name: str, others: set[str]) -> bool:
    """Whether a column that `noise_of` knows is a spread by its name, and no other statistic."""
    if SURE_NOISE.search(name):
        return True
    found = MAYBE_NOISE.search(name)
    return found is not None and bool(_without(name, found) & others)


def noise_of(name: str, others: set[str]) -> str | None:
    """The metric of which a column's numbers are the spread, or something else, by its name: the one beside it, "" for
    an unknown one; None for any other column.

    Short words (se, sd, var) are names of languages too: they count where a column without them stands beside.
    """
    if found := SURE_NOISE.search(name):
        return next(iter(_without(name, found) & others), "")
    for words in (MAYBE_NOISE, ABOUT):
        if (found := words.search(name)) and (of := sorted(_without(name, found) & others)):
            return of[0]
    for one, other in BOUNDS.items():
        found = re.search(rf"(?<![a-z]){one}(?![a-z\d])", name, re.I)
        if found and name[: found.start()] + other + name[found.end() :] in others:
            return next(iter(sorted(_without(name, found) & others)), None)
    return None


def _without(name: str, found: re.Match[str]) -> set[str]:
    """The names that a metric may have whose spread is called `name`."""
    before, after = LEVEL.sub("", name[: found.start()]), name[found.end() :]
    head, tail = before.removesuffix("("), after.removeprefix(")")
    joined = {
        head.rstrip("_-./ ") + tail,
        head + tail.lstrip("_-./ "),
        re.sub(r"_(?=,)|^[_/.]|[_/.]$", "", head + tail),
    }
    middles = {f"{a}{word}{b}" for a, b in ((head, tail), (before, after)) for word in MIDDLES}
    return {*joined, f"metric{tail}", *middles} - {name, ""}


def words_of(prefix: str) -> set[str]:
    """The words in the last part of what stands in front of a family of columns."""
    return {word.lower() for word in SOFT.split(HARD.split(prefix.rstrip("/.:|_- "))[-1]) if word}
