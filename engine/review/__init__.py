"""Review: how a point of a study's space becomes what a team has agreed on. Uses the store.

A *candidate* is a point that somebody named and nominated, frozen with all that was predicted of it that day
(freeze.py). People comment, vote between two, and decide (acts.py); what follows from that history is worked out anew
whenever it is looked at (standing.py, votes.py), so nothing can be lost by two people acting at once. Beside it stand
what confirmations measured (evidence.py), candidates side by side (compare.py) and the text that got worse (flips.py).
`dossier` has all of it as plain values: pages, reports and commands show the same.
"""
