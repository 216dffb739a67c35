"""The league: every surrogate judged by cross-validation on the study's own runs, then fitted to all of them.

A rank correlation from a few dozen runs is itself noisy, so it comes with an interval, and the default surrogate is
the plainest of those that the noise cannot tell from the best: the difference in rank correlation to the best one is
bootstrapped over runs, and a surrogate whose difference is inside the 68% interval around zero, or under .002, counts
as level. What cross-validation says of the errors' size also calibrates the final fits.

validation.py fits and judges, scores.py has the measures, standing.py what is kept of them and the choice of the
default, curve.py the learning curve, job.py the background job.
"""

from engine.league.job import held_out_of, run
from engine.league.scores import LEVELS, rank_correlations
from engine.league.standing import BASELINE, League, Standing
from engine.league.validation import FEWEST_RUNS, cross_validate

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
]
