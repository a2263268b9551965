"""What each source is worth to the fused list: quality of the same weights without it."""

from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from recsql.queries import QUERIES
from workers.evaluate import interval
from workers.tables import read_columns

K = 10


def ablation(connection: psycopg.Connection[Any], run: dict[str, Any], n_users: int, seed: int) -> list[dict[str, Any]]:
    """NDCG@10 of the weighted sum without each source in turn, beside the whole.

    Weights stay as they are: what a source is worth to this policy, not what the others could make up for if they were
    fitted without it.

    Args:
        connection: in autocommit mode.
        run: its ``run_no`` and the ``weights`` of its policy, by source.
        n_users: at most so many users are measured.
        seed: of the resampling of users.

    Returns:
        Rows ``source``, ``ndcg`` without it, and ``change`` to the whole, which is negative for a source that helps,
        with the paired 95 % interval ``lo`` to ``hi``, the most harmful loss first. The row whose source is None is the
        whole. Empty where no user has something to be found.
    """
    asked = {"run_no": run["run_no"], "n_users": n_users}
    users, n_relevant = read_columns(
        connection, QUERIES["report_relevant"], asked, {"user_no": np.int64, "n_relevant": np.int64}
    )
    if not len(users):
        return []
    types = {"user_no": np.int64, "item_no": np.int64, "source": np.str_, "part": np.float64, "is_hit": np.bool_}
    owners, items, sources, part, is_hit = read_columns(connection, QUERIES["report_parts"], asked, types)
    pairs, row_of = np.unique(np.stack([owners, items], axis=1), axis=0, return_inverse=True)
    owner = np.searchsorted(users, pairs[:, 0])
    is_target = np.zeros(len(pairs), dtype=bool)
    is_target[row_of] = is_hit
    contributions = {
        name: np.bincount(row_of[sources == name], part[sources == name] * weight, len(pairs))
        for name, weight in run["weights"].items()
        if weight > 0 and (sources == name).any()
    }
    whole = np.sum(list(contributions.values()), axis=0) if contributions else np.zeros(len(pairs))
    base = ndcg(whole, owner, is_target, n_relevant)
    found: list[dict[str, Any]] = [{"source": None, "ndcg": float(base.mean()), "change": 0.0, "lo": 0.0, "hi": 0.0}]
    for name, contribution in contributions.items():
        without = ndcg(whole - contribution, owner, is_target, n_relevant)
        change, lo, hi, _ = interval(without - base, seed)
        found.append({"source": name, "ndcg": float(without.mean()), "change": change, "lo": lo, "hi": hi})
    return sorted(found, key=lambda row: (row["source"] is not None, row["change"]))


def ndcg(
    scores: NDArray[np.floating],
    owner: NDArray[np.integer],
    is_target: NDArray[np.bool_],
    n_relevant: NDArray[np.integer],
) -> NDArray[np.float64]:
    """NDCG@10 of each user, ties counted against us; candidates without a positive score are not in the list.

    Args:
        scores: of candidates, shape ``(n_rows,)``.
        owner: index of the user of each, shape ``(n_rows,)``.
        is_target: whether it is relevant, shape ``(n_rows,)``.
        n_relevant: relevant items of each user, those that are no candidates included, shape ``(n_users,)``.
    """
    order = np.lexsort((is_target, -scores, owner))
    starts = np.searchsorted(owner[order], np.arange(len(n_relevant)))
    position = np.arange(len(order)) - starts[owner[order]]
    # A sum of floats is not exactly nothing when what it was the sum of is taken away.
    counts = is_target[order] & (position < K) & (scores[order] > 1e-9)
    gains = np.bincount(owner[order][counts], 1 / np.log2(position[counts] + 2), len(n_relevant))
    ideal = np.cumsum(1 / np.log2(np.arange(K) + 2))
    return gains / ideal[np.minimum(n_relevant, K) - 1]
