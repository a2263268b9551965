"""Fusion policies that are learnt on a validation run, and what each is worth on users that it was not fitted on."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.ranker.candidates import Candidates, Floats, Sources, among_best
from workers.ranker.features import FeatureReader
from workers.ranker.fitting import N_FOLDS, fit_ranker, folds_of
from workers.ranker.model import N_RERANKED, Ranker
from workers.ranker.quality import Asked, Metrics, read_asked
from workers.ranker.weights import fit_weights
from workers.run import Run

USERS_TO_FIT_ON = 10_000
FEWEST_TO_FIT_ON = 50
"""Users with something relevant among their candidates; of fewer nothing is learnt beside the weights of all."""


@dataclass(frozen=True)
class Choices:
    """Candidates of users of a validation run who went on to have one of them.

    Attributes:
        run: the validation run.
        sources: numbers and names, in the order of weights.
        asked: the users, and others like them of whose candidates none is relevant.
        found: the candidates.
        is_hit: whether each is relevant, shape ``(n_pairs,)``.
        folds: the fold of each, which is its user's, shape ``(n_pairs,)``.
        seed: of the folds and of whatever is fitted.
    """

    run: Run
    sources: Sources
    asked: Asked
    found: Candidates
    is_hit: NDArray[np.bool_]
    folds: NDArray[np.int64]
    seed: int

    @property
    def are_enough(self) -> bool:
        """Whether there are users enough to learn more from than weights of all."""
        return len(self.found.user_nos) >= FEWEST_TO_FIT_ON

    def weights(self, rows: NDArray[np.bool_] | slice = slice(None)) -> Floats:
        """Weights of the sum fitted on some rows, by default on all, as a policy keeps them."""
        return fit_weights(self.found.parts[rows], self.found.owner[rows], self.is_hit[rows], self.seed).round(6)

    def write(
        self,
        policy: str,
        kind: str,
        weights: Floats,
        config: dict[str, Any] | None = None,
        ndcg: NDArray[np.float64] | None = None,
        *,
        is_chosen: bool = False,
    ) -> int:
        """Keep a policy, which test and production take over from the run where it ``is_chosen``; its number.

        Args:
            policy: its name; a policy that has it is replaced.
            kind: how it fuses.
            weights: of the sources, shape ``(n_sources,)``.
            config: what the kind needs.
            ndcg: NDCG@10 of each user by what was not fitted on the user, where that is known.
            is_chosen: False for one to try.
        """
        named = {name: float(weight) for (_, name), weight in zip(self.sources, weights, strict=True)}
        metrics = {} if ndcg is None else {"ndcg@10": float(ndcg.mean())}
        return self.run.one(
            "write_policy",
            policy=policy,
            kind=kind,
            weights=json.dumps(named),
            config=json.dumps(config or {}),
            metrics=json.dumps({"fitted_on": self.run.run_no} | metrics),
            run_no=self.run.run_no if is_chosen else None,
        )


def read_choices(run: Run, sources: Sources, seed: int = 0) -> Choices:
    """Read what there is to learn from.

    Args:
        run: a validation run that has candidates and scores.
        sources: to fuse.
        seed: of the users that are drawn where there are many, of the folds and of whatever is fitted.
    """
    asked = Asked.of(run, USERS_TO_FIT_ON, seed)
    found = read_asked(run, sources, asked, only_hit=True)
    return Choices(run, sources, asked, found, asked.hits(found), folds_of(found, seed)[found.owner], seed)


@dataclass(frozen=True)
class LearnedRanker:
    """A ranker on top of weights.

    Attributes:
        ranker: fitted on all users.
        weighted: quality of the sum by weights of each user that were fitted without the user's fold.
        ranked: the same of the ranker.
    """

    ranker: Ranker
    weighted: Metrics
    ranked: Metrics

    def write(self, choices: Choices, *, is_chosen: bool = True) -> int:
        """Keep it as a policy; its number."""
        name, config, ndcg = f"ranker-{choices.run.run_no}", self.ranker.to_config(), self.ranked[0]
        return choices.write(name, "ranker", self.ranker.weights, config, ndcg, is_chosen=is_chosen)


def learn_ranker(choices: Choices, weights: Floats) -> LearnedRanker:
    """Fit a ranker on top of weights that were fitted on all users."""
    found, asked = choices.found, choices.asked
    is_near = among_best(found, found.parts @ weights, N_RERANKED)
    near, folds = found.take(is_near), choices.folds[is_near]
    by_fold = [choices.weights(choices.folds != fold) for fold in range(N_FOLDS)]
    weighted = (near.parts * np.stack(by_fold)[folds]).sum(axis=1)
    names = [name for _, name in choices.sources]
    features = FeatureReader(choices.run).of(near)
    ranker, ranked = fit_ranker(names, near, features, choices.is_hit[is_near], [weights, *by_fold], choices.seed)
    return LearnedRanker(ranker, asked.quality(near, weighted), asked.quality(near, ranked))
