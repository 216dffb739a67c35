"""Extremely randomised trees (Geurts, Ernst and Wehenkel 2006): deep trees with random thresholds, averaged.

scikit-learn grows them, in a job; they are kept as arrays of nodes and walked in numpy, so that the page predicts
without scikit-learn. (LightGBM's own `extra_trees` forest fits far worse: it misses twice as much on 410 of RegMix's
training runs.) As with LightGBM, three members each leave out a fold, which gives the noise, and their disagreement
the posterior variance. R runs, N points, M metrics, T trees of a member, Q nodes of all trees.
"""

from dataclasses import dataclass

import numpy as np

from engine.surrogates.base import Ensemble, centre_and_spread, noise_of

MEMBERS, TREES = 3, 40
SMALLEST_LEAF = 2
BLOCK = 2048  # points walked at once


@dataclass(kw_only=True)
class ExtraTrees(Ensemble):
    """roots (M, MEMBERS, T): their nodes; domain, threshold, value (Q,); children (Q, 2): where a share at most the
    threshold leads, and where a larger one does; a leaf leads to itself. depth: steps from a root to any leaf.
    """

    title = "Extra trees"
    summary = "Averaged trees with random thresholds: robust, and constant beyond their runs."
    complexity = 8
    slow = True

    roots: np.ndarray
    domain: np.ndarray
    threshold: np.ndarray
    children: np.ndarray
    value: np.ndarray
    depth: np.ndarray

    @classmethod
    def _learn(cls, weights, losses, seed):
        noise, forests = np.empty(losses.shape[1]), []
        for m, rows in enumerate(~np.isnan(losses).T):
            x, y = weights[rows], losses[rows, m]
            fold = np.random.default_rng(seed).permutation(len(y)) % min(MEMBERS, len(y))
            predicted = np.empty(len(y))
            for member in range(MEMBERS):
                held = fold == member % (fold.max() + 1)
                grown = forest(x[~held], y[~held], seed + member)
                predicted[held] = grown.predict(x[held])
                forests.append(grown)
            noise[m] = noise_of((y - predicted)[:, None], centre_and_spread(y[:, None])[1])[0]
        return cls(noise=noise, **nodes(forests))

    def _predictions(self, weights: np.ndarray) -> np.ndarray:
        """(N, M, MEMBERS)."""
        points = np.asarray(weights, float).astype(np.float32)  # as scikit-learn compares them
        found = np.empty((len(points), *self.roots.shape[:2]))
        for start in range(0, len(points), BLOCK):
            block = points[start : start + BLOCK]
            node = np.broadcast_to(self.roots, (len(block), *self.roots.shape))
            rows = np.arange(len(block))[:, None, None, None]
            for _ in range(int(self.depth)):
                node = self.children[node, (block[rows, self.domain[node]] > self.threshold[node]).astype(int)]
            found[start : start + BLOCK] = self.value[node].mean(axis=3)
        return found


def forest(weights: np.ndarray, losses: np.ndarray, seed: int):
    """A fitted forest of scikit-learn's."""
    from sklearn.ensemble import ExtraTreesRegressor

    kind = ExtraTreesRegressor(TREES, min_samples_leaf=SMALLEST_LEAF, n_jobs=1, random_state=seed)
    return kind.fit(weights, losses)


def nodes(forests: list) -> dict[str, np.ndarray]:
    """The arrays of ExtraTrees, from forests in the order metric, member."""
    trees = [grown.tree_ for one in forests for grown in one.estimators_]
    starts = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]
    joined = {"domain": [], "threshold": [], "children": [], "value": []}
    for start, tree in zip(starts, trees, strict=True):
        children = np.stack([tree.children_left, tree.children_right], axis=1)
        itself = np.arange(tree.node_count)[:, None]
        joined["children"].append(np.where(children < 0, itself, children) + start)
        joined["domain"].append(np.maximum(tree.feature, 0))
        joined["threshold"].append(tree.threshold)
        joined["value"].append(tree.value[:, 0, 0])
    depth = max(tree.max_depth for tree in trees)
    arrays = {name: np.concatenate(parts) for name, parts in joined.items()}
    return {"roots": starts.reshape(-1, MEMBERS, TREES), "depth": np.array(depth), **arrays}
