"""Every way of fusing the sources of a validation run, measured on the same users."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsql.errors import PipelineError
from recsql.queries import QUERIES
from workers.evaluate import interval
from workers.ranker.candidates import Floats, Sources
from workers.ranker.learned import FEWEST_TO_FIT_ON, Choices, LearnedRanker, learn_ranker, read_choices
from workers.ranker.quality import Asked, Metrics
from workers.ranker.segments import ByAttribute, ByHistory, SegmentWeights, learn_by
from workers.run import Progress, Run

WEIGHTED, RANKER = "weighted", "ranker"
"""How what is learnt is told; weights by segments are :func:`by_name`."""


@dataclass(frozen=True)
class Learned:
    """What is learnt, and what it was learnt from.

    Attributes:
        choices: that it was learnt from.
        weights: of the weighted sum, shape ``(n_sources,)``.
        by_segment: weights of segments, by how they are told.
        ranker: on top of the weights.
    """

    choices: Choices
    weights: Floats
    by_segment: dict[str, SegmentWeights]
    ranker: LearnedRanker


@dataclass(frozen=True)
class Comparison:
    """Quality of each way of fusing for the same users.

    Attributes:
        run: the validation run.
        singles: of each source alone, by its name.
        policies: of each policy that nothing was fitted for, by its name; and of what is learnt here, on users that it
            was not fitted on.
        learned: what is learnt here; None where there are too few users.
        seed: of the resampling of users.
    """

    run: Run
    singles: dict[str, Metrics]
    policies: dict[str, Metrics]
    learned: Learned | None
    seed: int = 0

    @property
    def best_single(self) -> str:
        """The source of the highest NDCG@10."""
        return _best(self.singles)

    @property
    def proposed(self) -> str:
        """The policy of the highest NDCG@10; the weighted sum, as long as that may be as good."""
        best = _best(self.policies)
        if WEIGHTED not in self.policies or best == WEIGHTED:
            return best
        _, lo, _, _ = interval(self.policies[best][0] - self.policies[WEIGHTED][0], self.seed)
        return best if lo is not None and lo > 0 else WEIGHTED

    def rows(self) -> list[dict[str, Any]]:
        """One row a method, the best first: figures, and what it gains in NDCG@10 over the best single source, paired.

        Intervals are of 95 %, over resamples of users.
        """
        best, found = self.singles[self.best_single][0], []
        for is_policy, methods in ((False, self.singles), (True, self.policies)):
            for name, (ndcg, recall) in methods.items():
                value, lo, hi, n_users = interval(ndcg, self.seed)
                gain, gain_lo, gain_hi, _ = interval(ndcg - best, self.seed)
                row = {"method": name, "is_policy": is_policy, "ndcg@10": value, "lo": lo, "hi": hi}
                row |= {"recall@10": float(recall.mean()), "gain": gain, "gain_lo": gain_lo, "gain_hi": gain_hi}
                found.append(row | {"n_users": n_users})
        return sorted(found, key=lambda row: -row["ndcg@10"])

    def choose(self) -> int:
        """Have the next runs fuse by what is proposed, written down where it was learnt here; the policy's number."""
        learned = self.learned
        if learned and self.proposed == RANKER:
            policy_no = learned.ranker.write(learned.choices, is_chosen=False)
        elif learned and self.proposed in learned.by_segment:
            policy_no = learned.by_segment[self.proposed].write(learned.choices, learned.weights)
        elif learned and self.proposed == WEIGHTED:
            name, ndcg = f"weighted-{self.run.run_no}-all", learned.ranker.weighted[0]
            policy_no = learned.choices.write(name, "weighted", learned.weights, ndcg=ndcg)
        else:
            policy_no = self.run.one("fusion_policy_named", policy=self.proposed)
        self.run.connection.execute(QUERIES["choose_fusion_policy"], {"slot": "default", "policy_no": policy_no})
        return policy_no


def compare(
    run: Run, seed: int = 0, attributes: Sequence[str] = (), progress: Progress = lambda done, total, note: None
) -> Comparison:
    """Measure every source and policy on a validation run.

    Args:
        run: with candidates and scores.
        seed: of the users that are drawn where there are many, of folds and of training.
        attributes: of users, for each of which weights are fitted by its values.
        progress: called after each method.

    Raises:
        PipelineError: there is nothing to compare, nobody to compare it on, or too few for weights by an attribute.
    """
    if "history" in attributes:
        raise PipelineError("Weights by the length of the history are fitted in any case: leave 'history' out.")
    sources: Sources = run.connection.execute(QUERIES["compared_sources"], run.parameters()).fetchall()
    choices = read_choices(run, sources, seed)
    everybody = Asked.of(run)
    if not sources or not len(everybody.user_nos):
        raise PipelineError(
            f"Run {run.run_no} has no candidates, or nobody of whom it is known what came next: it needs users with "
            "more events ('recsql status' shows how many there are)."
        )
    if attributes and not choices.are_enough:
        raise PipelineError(
            f"Weights by an attribute need {FEWEST_TO_FIT_ON} users who went on to have one of their candidates, and "
            f"run {run.run_no} has fewer: load more events, or leave the attribute out."
        )
    # Before the long work: an attribute can be one that does not divide the users.
    segmentations = [ByAttribute.of(choices, key) for key in attributes]
    is_asked = np.isin(everybody.user_nos, (choices.asked if choices.are_enough else everybody).user_nos)

    # What was fitted on users such as these is measured by what is learnt without each fold of them.
    names = [name for (name,) in run.connection.execute(QUERIES["compared_policies"], run.parameters()).fetchall()]
    n_methods, measured_yet = len(names) + len(sources) + choices.are_enough, 0

    def note(method: str) -> None:
        nonlocal measured_yet
        measured_yet += 1
        progress(measured_yet, n_methods, method)

    def measured(method: str) -> Metrics:
        rows = run.connection.execute(QUERIES["user_metric"], run.parameters(method=method, k=10)).fetchall()
        _, ndcg, recall, *_ = np.array(rows, dtype=np.float64)[is_asked].T
        note(method)
        return ndcg, recall

    policies = {name: measured(name) for name in names}
    learned = None
    if choices.are_enough:
        weights = choices.weights()
        by_segment = {by_name(by.name): learn_by(choices, by) for by in (ByHistory.of(choices), *segmentations)}
        learned = Learned(choices, weights, by_segment, learn_ranker(choices, weights))
        policies |= {WEIGHTED: learned.ranker.weighted, RANKER: learned.ranker.ranked}
        policies |= {name: segmented.ranked for name, segmented in by_segment.items()}
        note("what is learnt")
    return Comparison(run, {name: measured(name) for _, name in sources}, policies, learned, seed)


def by_name(segmentation: str) -> str:
    """How weights by segments are told."""
    return f"{WEIGHTED} by {segmentation}"


def _best(methods: dict[str, Metrics]) -> str:
    return max(methods, key=lambda name: (methods[name][0].mean(), name))
