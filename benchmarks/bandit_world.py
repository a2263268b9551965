"""Films that nobody knows yet, and who would give them five stars: a world for bandits, made of real ratings.

Some films of a MovieLens catalogue are taken out of it and come back one after another. Users fall into groups by
their ratings of the other films alone (k-means of their first singular vectors). The probability that a user clicks
on a film is the share of five stars among the ratings that users of the group gave it, drawn towards the film's share
where there are few. So nothing of it is linear in what a bandit knows: contents by a text encoder, and the contents of
what the user liked among the other films.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from recsql.queries import QUERIES
from workers.bandits.features import Projection, freshness
from workers.binary import read_keyed_vectors

Array = NDArray[np.floating]

N_GROUPS = 16
N_FACTORS = 12
LEAST_RATINGS = 200
"""Of a film that is taken out."""
PRIOR_RATINGS = 10
DAYS_A_ROUND = 0.01
N_FIRST = 20
"""Films that are there from the start."""


@dataclass(frozen=True)
class Ratings:
    """All ratings, and what the films are about.

    Attributes:
        users: row of the user of each rating, shape ``(n_ratings,)``.
        films: row of its film.
        stars: from 1 to 5.
        order: of the user's ratings, from the first.
        contents: vectors, shape ``(n_films, dim)``.
    """

    users: NDArray[np.int64]
    films: NDArray[np.int64]
    stars: Array
    contents: Array


def read_ratings(connection: psycopg.Connection[Any]) -> Ratings:
    """Read them from a database whose items are embedded; each user's in the order of time."""
    rows = connection.execute(
        "select user_no, item_no, value from recsql.event where value is not null order by user_no, at, event_no"
    ).fetchall()
    user_nos, item_nos, stars = (np.array(column) for column in zip(*rows, strict=True))
    space = connection.execute("select space_no from recsql.content_space").fetchone()
    assert space is not None
    keys, contents = read_keyed_vectors(connection, QUERIES["sampled_contents"], {"space_no": space[0], "n": 1_000_000})
    order = np.argsort(keys)
    keys, contents = keys[order], contents[order].astype(np.float64)
    is_known = np.isin(item_nos, keys)
    _, users = np.unique(user_nos, return_inverse=True)
    return Ratings(users[is_known], np.searchsorted(keys, item_nos[is_known]), stars[is_known].astype(float), contents)


@dataclass(frozen=True)
class World:
    """What a simulation needs.

    Attributes:
        probabilities: of a click, by group and film, shape ``(n_groups, n_films)``.
        groups: of users, shape ``(n_users,)``.
        arrivals: round in which each film comes, ascending, shape ``(n_films,)``.
        features: of each user and film, without what changes with time, shape ``(n_users, n_films, n_features)``.
    """

    probabilities: Array
    groups: NDArray[np.int64]
    arrivals: NDArray[np.int64]
    features: NDArray[np.float32]

    def pool(self, user: int, now: int, size: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], Array]:
        """Films that could be shown in a round, drawn from those that have come, and their features."""
        n_there = int(np.searchsorted(self.arrivals, now, side="right"))
        films = rng.choice(n_there, size, replace=False) if n_there > size else np.arange(n_there)
        features = self.features[user, films].astype(np.float64)
        features[:, 3] = freshness((now - self.arrivals[films]) * DAYS_A_ROUND)
        return films, features


def make_world(ratings: Ratings, n_films: int, n_users: int, n_rounds: int, n_components: int, seed: int) -> World:
    """Take films out at random, and make a world of them and of users drawn at random."""
    rng = np.random.default_rng(seed)
    n_all = len(ratings.contents)
    often = np.flatnonzero(np.bincount(ratings.films, minlength=n_all) >= LEAST_RATINGS)
    films = rng.choice(often, n_films, replace=False)
    place = np.full(n_all, -1)
    place[films] = np.arange(n_films)
    is_new = place[ratings.films] >= 0
    groups = _groups(ratings, ~is_new, rng)
    counts, loved = (
        np.bincount(groups[ratings.users[is_new]] * n_films + place[ratings.films[is_new]], weights, N_GROUPS * n_films)
        for weights in (None, ratings.stars[is_new] == 5)
    )
    counts, loved = counts.reshape(N_GROUPS, n_films), loved.reshape(N_GROUPS, n_films)
    of_film = loved.sum(axis=0) / counts.sum(axis=0)
    users = rng.choice(len(groups), n_users, replace=False)
    arrivals = np.concatenate([np.zeros(N_FIRST), np.linspace(0, n_rounds, n_films - N_FIRST + 2)[1:-1]])
    return World(
        (loved + PRIOR_RATINGS * of_film) / (counts + PRIOR_RATINGS),
        groups[users],
        arrivals.astype(np.int64),
        _features(ratings, films, is_new, users, n_components),
    )


def _groups(ratings: Ratings, is_seen: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Groups of users by what they rated, and how, shape ``(n_all_users,)``."""
    from scipy.cluster.vq import kmeans2
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import svds

    users, films, stars = ratings.users[is_seen], ratings.films[is_seen], ratings.stars[is_seen]
    n_users = int(ratings.users.max()) + 1
    means = np.bincount(users, stars, n_users) / np.maximum(np.bincount(users, minlength=n_users), 1)
    matrix = csr_matrix((stars - means[users], (users, films)), (n_users, len(ratings.contents)))
    factors, sizes, _ = svds(matrix, k=N_FACTORS, rng=rng)
    factors *= sizes
    # By what users like, not by how much they rated.
    factors /= np.maximum(np.linalg.norm(factors, axis=1, keepdims=True), 1e-9)
    _, groups = kmeans2(factors, N_GROUPS, minit="++", rng=rng)
    return groups.astype(np.int64)


def _features(
    ratings: Ratings,
    films: NDArray[np.int64],
    is_new: NDArray[np.bool_],
    users: NDArray[np.int64],
    n_components: int,
) -> NDArray[np.float32]:
    """Features of films for users, by contents and by what the users liked of the other films, the newest first."""
    others = np.setdiff1d(np.arange(len(ratings.contents)), films)
    projection = Projection.fit(ratings.contents[others], n_components)
    is_liked = ~is_new & (ratings.stars >= 4)
    liked, ends = ratings.films[is_liked], np.searchsorted(ratings.users[is_liked], np.arange(ratings.users.max() + 2))
    nothing = np.zeros(len(films))
    found = []
    for user in users:
        newest_first = ratings.contents[liked[ends[user] : ends[user + 1]][::-1][:20]]
        taste = projection.taste(newest_first)
        found.append(projection.features(nothing, nothing, ratings.contents[films], taste).astype(np.float32))
    return np.array(found)
