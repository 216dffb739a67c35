"""The leaderboard: every surrogate cross-validated on the study's own runs, then fitted to all of them.

A rank correlation from a few dozen runs is itself noisy, so it comes with an interval, and the default surrogate is a
law or process that is tied with the best within noise, the safest beyond the runs first: the difference in rank
correlation to the best one is bootstrapped over runs, and a surrogate whose difference is inside the 68% interval
around zero, or under .002, is tied. The cross-validated errors also calibrate the final fits.

trial.py holds the runs and their folds, racing.py fits, validation.py judges, scores.py has the measures, standing.py
the results and the choice of the default, curve.py the learning curve, optimism.py what the choice of the lowest costs,
job.py the background job.
"""

from engine.league.job import held_out_of, run
from engine.league.scores import LEVELS, rank_correlations
from engine.league.standing import BASELINE, League
from engine.league.trial import FEWEST_RUNS, with_members
from engine.league.validation import cross_validate
from engine.spec.kinds.fit import Standing

__all__ = [
    "BASELINE",
    "FEWEST_RUNS",
    "LEVELS",
    "League",
    "Standing",
    "cross_validate",
    "held_out_of",
    "rank_correlations",
    "run",
    "with_members",
]
