"""Fusion policies that are learnt on a validation run, and what each is worth on users that it was not fitted on."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.ranker.candidates import Candidates, Floats, Sources, among_best
from workers.ranker.features import FeatureReader
from workers.ranker.fitting import N_FOLDS, fit_ranker, folds_of, weights_of
from workers.ranker.model import N_RERANKED, Ranker
from workers.ranker.quality import Asked, read_asked
from workers.run import Run

USERS_TO_FIT_ON = 10_000
FEWEST_TO_FIT_ON = 50
"""Users with something relevant among their candidates; of fewer nothing is learnt beside the weights of all."""

N_SEGMENTS = 3


@dataclass(frozen=True)
class Learned:
    """What was learnt of fusing some sources.

    Attributes:
        run: the validation run.
        sources: numbers and names, in the order of weights.
        asked: the users that were fitted on, and others like them of whose candidates none is relevant.
        near: the candidates that policies are compared on, the best of each user.
        weights: of the weighted sum, shape ``(n_sources,)``.
        by_history: the longest history of each segment of users, infinite for the last, and its weights.
        ranker: on top of the weights.
        crossed: scores of ``near`` by each policy as it is without the user's fold, shape ``(n_pairs,)`` each.
    """

    run: Run
    sources: Sources
    asked: Asked
    near: Candidates
    weights: Floats
    by_history: list[tuple[float, Floats]]
    ranker: Ranker
    crossed: dict[str, Floats]

    def quality(self, policy: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """NDCG@10 and recall@10 of each user asked for, by ``weighted``, ``by_history`` or ``ranker``."""
        return self.asked.quality(self.near, self.crossed[policy])

    def write_ranker(self) -> int:
        """Keep the ranker as a policy, which test and production take over from its run; its number."""
        return self._write(
            f"ranker-{self.run.run_no}", "ranker", self.weights, self.ranker.to_config(), self.run.run_no
        )

    def write_weighted(self) -> int:
        """Keep the weights as a policy to choose; its number."""
        return self._write(f"weighted-{self.run.run_no}-all", "weighted", self.weights)

    def write_by_history(self) -> int:
        """Keep the weights of the segments as policies, and one that switches between them to choose; its number."""
        name, branches = f"weighted-{self.run.run_no}", []
        for longest, weights in self.by_history:
            part = f"{name}-{'longer' if np.isinf(longest) else f'to-{int(longest)}'}"
            self._write(part, "weighted", weights)
            branches.append({"use": part} | ({} if np.isinf(longest) else {"max_history": int(longest)}))
        config = {"branches": branches[:-1], "else": branches[-1]["use"]}
        return self._write(f"{name}-by-history", "switching", self.weights, config)

    def _write(
        self,
        policy: str,
        kind: str,
        weights: Floats,
        config: dict[str, Any] | None = None,
        run_no: int | None = None,
    ) -> int:
        named = {name: round(float(x), 6) for (_, name), x in zip(self.sources, weights, strict=True)}
        return self.run.one(
            "write_policy",
            policy=policy,
            kind=kind,
            weights=json.dumps(named),
            config=json.dumps(config or {}),
            metrics=json.dumps({"fitted_on": self.run.run_no}),
            run_no=run_no,
        )


def learn(run: Run, sources: Sources, weights: Floats | None = None, seed: int = 0) -> Learned | None:
    """Fit all that is learnt; None where there are too few users to learn from.

    Args:
        run: a validation run that has candidates and scores.
        sources: to fuse.
        weights: of the weighted sum, rounded as its policy has them; fitted here when None.
        seed: of the users that are drawn, the folds and the training.
    """
    asked = Asked.of(run, USERS_TO_FIT_ON, seed)
    found = read_asked(run, sources, asked, only_hit=True)
    if len(found.user_nos) < FEWEST_TO_FIT_ON:
        return None
    is_hit, folds, reader = asked.hits(found), folds_of(found, seed)[found.owner], FeatureReader(run)
    every = np.ones(len(is_hit), dtype=bool)
    if weights is None:
        weights = weights_of(found, is_hit, every, seed).round(6)
    limits = history_limits(reader.history_lengths(found.user_nos))
    segments = np.searchsorted(limits, reader.history_lengths(found.user_nos))[found.owner]

    def of_segments(rows: NDArray[np.bool_]) -> list[Floats]:
        return [weights_of(found, is_hit, rows & (segments == nth), seed) for nth in range(len(limits))]

    is_near = among_best(found, found.parts @ weights, N_RERANKED)
    near, of_all, by_fold = found.take(is_near), of_segments(every), [weights]
    weighted, by_history = np.zeros((2, len(near.item_nos)))
    for fold in range(N_FOLDS):
        held = folds[is_near] == fold
        by_fold.append(weights_of(found, is_hit, folds != fold, seed))
        weighted[held] = near.parts[held] @ by_fold[-1]
        own = np.stack(of_segments(folds != fold))
        by_history[held] = (near.parts[held] * own[segments[is_near][held]]).sum(axis=1)
    names = [name for _, name in sources]
    ranker, ranked = fit_ranker(names, near, reader.of(near), is_hit[is_near], by_fold, seed)
    crossed = {"weighted": weighted, "by_history": by_history, "ranker": ranked}
    return Learned(run, sources, asked, near, weights, list(zip(limits.tolist(), of_all, strict=True)), ranker, crossed)


def history_limits(lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """The longest history of each of some segments with about as many users each, infinite for the last."""
    inner = np.unique(np.quantile(lengths, np.arange(1, N_SEGMENTS) / N_SEGMENTS, method="lower"))
    return np.append(inner[inner < lengths.max()], np.inf)
