"""Review: how a team agrees on a point of a study's space. Uses the store.

A *candidate* is a named and nominated point, frozen with all its predictions of that day (freeze.py). People comment,
vote between two, and decide (acts.py); the standing is recomputed from that history on every read (standing.py,
votes.py), so nothing is lost when two people act at once. Further parts: results of confirmations (evidence.py),
candidates side by side (compare.py) and regressions in single windows of text (flips.py). `dossier` has all of it as
plain values: pages, reports and commands show the same.
"""
