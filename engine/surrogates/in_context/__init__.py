"""The in-context surrogate: a network that has seen many synthetic studies reads a new one (surrogate.py).

Its worlds are in prior.py, what it reads of a study in cells.py, its pass in numpy in forward.py. network.py, train.py
and shipping.py need torch: only `python -m engine.surrogates.in_context` imports them.
"""
