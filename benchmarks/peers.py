"""Peers on a run's own data and protocol, so that figures can be compared.

A peer is a function from what users had to a scorer of all items, and a grid of settings: which of them is chosen on
the validation run, as ours are, and the test run is read once. The whole catalogue is ranked less what a user has had,
and ties count against the peer, as they count against us.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.peer_data import K, quality
from recsql.errors import ConfigurationError
from workers.evaluate import interval
from workers.interactions import RunData, read_run

RELEVANT = "select user_no, item_no from recsql.relevant_event(%s::integer) order by user_no"
_USERS_AT_ONCE = 500

Scores = NDArray[np.float32]
Scorer = Callable[[range], Scores]
"""Scores of all items for a range of user rows, shape ``(n_users, n_items)``; NaN or -inf where it has none."""


@dataclass(frozen=True)
class Peer:
    """Another implementation.

    Attributes:
        fit: learns from the matrix of users × items, settings and a seed.
        grid: values of each setting.
    """

    fit: Callable[[Any, Mapping[str, Any], int], Scorer]
    grid: Mapping[str, tuple[Any, ...]]

    def settings(self) -> Iterator[dict[str, Any]]:
        """Every combination of the grid."""
        for values in product(*self.grid.values()):
            yield dict(zip(self.grid, values, strict=True))


@dataclass(frozen=True)
class Part:
    """What a run may know, and what it is asked.

    Attributes:
        seen: sparse users × items, ones, rows as in the run's data.
        asked: user rows that have relevant items and are known to the run, ascending.
        relevant: item rows that are relevant to each of them.
        n_new: users with relevant items of whom the run knows nothing; peers have nothing for them, so they count 0.
    """

    seen: Any
    asked: NDArray[np.int64]
    relevant: list[NDArray[np.int64]]
    n_new: int = 0


def measure_peers(
    connection: psycopg.Connection[Any],
    validation_run_no: int,
    test_run_no: int,
    seed: int,
    names: tuple[str, ...] = ("implicit-als",),
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> dict[str, float]:
    """NDCG@10 and recall@10 of peers on the test run, with intervals, under what was best on validation.

    Args:
        connection: in autocommit mode.
        validation_run_no: a run whose interactions are there.
        test_run_no: another.
        seed: of the peers and of the resampling of users.
        names: keys of ``PEERS``.
        progress: called after each fit.

    Returns:
        Figures by name; ``PEER.validation.ndcg@10`` and the chosen settings are among them.
    """
    validation, test = (read_part(connection, run_no) for run_no in (validation_run_no, test_run_no))
    results: dict[str, float] = {}
    total, done = sum(len(list(PEERS[name].settings())) + 1 for name in names), 0
    for name in names:
        scored = []
        for settings in PEERS[name].settings():
            scorer = PEERS[name].fit(validation.seen, settings, seed)
            scored.append((measure(validation, scorer)[:, 0].mean(), settings))
            done += 1
            progress(done, total, name)
        ndcg, best = max(scored, key=lambda entry: entry[0])
        values = measure(test, PEERS[name].fit(test.seen, best, seed))
        done += 1
        progress(done, total, name)
        results |= {f"{name}.{setting}": float(value) for setting, value in best.items()}
        results[f"{name}.validation.ndcg@{K}"] = float(ndcg)
        for column, metric in enumerate((f"ndcg@{K}", f"recall@{K}")):
            value, lo, hi, _ = interval(values[:, column], seed)
            results |= {
                f"{name}.{metric}{end}": x for end, x in (("", value), (".lo", lo), (".hi", hi)) if x is not None
            }
    return results


def read_part(connection: psycopg.Connection[Any], run_no: int) -> Part:
    """A run's interactions and what is relevant to whom."""
    data: RunData = read_run(connection, run_no)
    sequences = data.sequences
    seen = csr_matrix(
        (np.ones(len(sequences.items), dtype=np.float32), sequences.items, sequences.offsets),
        shape=(sequences.n_users, len(data.item_nos)),
    )
    wanted = np.array(connection.execute(RELEVANT, (run_no,)).fetchall(), dtype=np.int64).reshape(-1, 2)
    user_nos, first = np.unique(wanted[:, 0], return_index=True)
    items = np.split(np.searchsorted(data.item_nos, wanted[:, 1]), first[1:])
    rows = data.user_rows(user_nos)
    asked = np.flatnonzero(rows >= 0)
    return Part(seen, rows[asked], [items[place] for place in asked], int((rows < 0).sum()))


def measure(part: Part, scorer: Scorer) -> NDArray[np.float64]:
    """NDCG@10 and recall@10 of each user who has relevant items, shape ``(n_users, 2)``, those without history last."""
    found = np.zeros((len(part.asked) + part.n_new, 2))
    for start in range(0, part.seen.shape[0], _USERS_AT_ONCE):
        users = range(start, min(start + _USERS_AT_ONCE, part.seen.shape[0]))
        inside = np.flatnonzero((part.asked >= users.start) & (part.asked < users.stop))
        if not len(inside):
            continue
        scores = scorer(users)
        for place in inside:
            user = part.asked[place]
            had = part.seen.indices[part.seen.indptr[user] : part.seen.indptr[user + 1]]
            found[place] = quality(scores[user - users.start], had, part.relevant[place])
    return found


def _als(seen: Any, settings: Mapping[str, Any], seed: int) -> Scorer:
    model = _import("implicit.als").AlternatingLeastSquares(
        **settings, regularization=0.01, iterations=20, random_state=seed
    )
    model.fit(seen, show_progress=False)
    return lambda users: model.user_factors[users.start : users.stop] @ model.item_factors.T


def _bpr(seen: Any, settings: Mapping[str, Any], seed: int) -> Scorer:
    # One thread: several update the same factors without a lock, so that the seed would not decide the outcome.
    model = _import("implicit.bpr").BayesianPersonalizedRanking(
        **settings, regularization=0.01, iterations=100, random_state=seed, num_threads=1
    )
    model.fit(seen, show_progress=False)
    return lambda users: model.user_factors[users.start : users.stop] @ model.item_factors.T


def _cosine(seen: Any, settings: Mapping[str, Any], seed: int) -> Scorer:
    model = _import("implicit.nearest_neighbours").CosineRecommender(**settings)
    model.fit(csr_matrix(seen), show_progress=False)
    similarity = model.similarity
    return lambda users: (seen[users.start : users.stop] @ similarity).toarray()


def _ease(seen: Any, settings: Mapping[str, Any], seed: int) -> Scorer:
    """Steck 2019, over the whole history without regard to order."""
    gram = (seen.T @ seen).toarray().astype(np.float64)
    gram[np.diag_indices(len(gram))] += settings["lambda"]
    inverse = np.linalg.inv(gram)
    weights = (-inverse / np.diag(inverse)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    return lambda users: seen[users.start : users.stop] @ weights


def _lenskit(seen: Any, settings: Mapping[str, Any], seed: int) -> Scorer:
    data, knn, pandas = _import("lenskit.data"), _import("lenskit.knn"), _import("pandas")
    users, items = seen.nonzero()
    dataset = data.from_interactions_df(pandas.DataFrame({"user_id": users, "item_id": items}))
    model = knn.ItemKNNScorer(**settings, feedback="implicit")
    model.train(dataset)
    catalogue = np.arange(seen.shape[1])

    def score(rows: range) -> Scores:
        return np.stack(
            [
                model(
                    data.RecQuery(user_id=row, user_items=data.ItemList(item_ids=seen[row].indices)),
                    data.ItemList(item_ids=catalogue),
                ).scores()
                for row in rows
            ]
        ).astype(np.float32)

    return score


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ConfigurationError(f"{package} is not installed: pip install 'recsql[bench]'.") from error


PEERS = {
    "implicit-als": Peer(_als, {"factors": (16, 32, 64, 128), "alpha": (1.0, 5.0, 20.0)}),
    "implicit-bpr": Peer(_bpr, {"factors": (32, 64), "learning_rate": (0.01, 0.05)}),
    "implicit-cosine": Peer(_cosine, {"K": (20, 50, 100, 200)}),
    "ease-whole-history": Peer(_ease, {"lambda": (30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)}),
    "lenskit-itemknn": Peer(_lenskit, {"max_nbrs": (20, 50, 100)}),
}
"""The peers by name; packages are those of the extra ``bench``."""
