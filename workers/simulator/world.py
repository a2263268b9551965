"""The catalogue and the users of a simulation, as they truly are."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsql.errors import InputError
from recsql.readers.base import Reader
from recsql.readers.factory import open_reader
from recsql.readers.simulated import SimulatedReader
from recsql.readers.simulated_behaviour import N_GENRES
from recsql.settings import get_settings
from workers.simulator.chance import Chance
from workers.simulator.config import SimulatorConfig
from workers.simulator.factors import factorise

Array = NDArray[np.float64]

N_TOPICS = 8
"""Topics that are made of the ratings of a MovieLens catalogue."""
LIKED = 4.0
"""Stars from which on a rating says that somebody liked a film."""


@dataclass(frozen=True)
class World:
    """What is true of items and users.

    Attributes:
        topics: share of each topic in each item, rows sum to 1, shape ``(n_items, n_topics)``.
        quality: how good each item proves to be, in (-1, 1), shape ``(n_items,)``.
        appeal: how attractive each looks whatever it is about, standard normal, shape ``(n_items,)``.
        interests: each user's mean interest in each topic, at most about 1, shape ``(n_users, n_topics)``.
        patience: what each user's sessions begin with, shape ``(n_users,)``.
        item_ids: id of each item in the source.
        user_ids: id of each user; those that the source does not have are numbered.
        reader: the source of the items.
    """

    topics: Array
    quality: Array
    appeal: Array
    interests: Array
    patience: Array
    item_ids: tuple[str, ...] = ()
    user_ids: tuple[str, ...] = ()
    reader: Reader | None = None

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return len(self.topics)

    @property
    def n_users(self) -> int:
        """How many users there are."""
        return len(self.interests)


def simulated_world(config: SimulatorConfig, n_users: int, n_items: int = 240, seed: int = 0) -> World:
    """The items and users of :class:`SimulatedReader`, whose topics are genres.

    The topics of an item are the positive part of its true factors of genres, the interests of a user the positive part
    of theirs; see :func:`recsql.readers.simulated_behaviour.populate`.

    Raises:
        InputError: a number is too small.
    """
    _check(config, n_users, n_items)
    reader = SimulatedReader(n_users, n_items, seed, with_media=False)
    topics = np.maximum(reader.population.item_factors[:, :N_GENRES], 0.0)
    interests = np.maximum(reader.population.user_factors[:, :N_GENRES], 0.0)
    return _world(config, topics, interests, reader.item_ids, seed, reader)


def movielens_world(
    config: SimulatorConfig, n_users: int, seed: int = 0, notice: Callable[[str], None] | None = None
) -> World:
    """The films of MovieLens 100K and users who like what its users liked.

    With A the users and films of which a user gave 4 or 5 stars, ``A ≈ W H`` (:func:`factorise`, 8 topics): a film's
    topics are its column of H in shares, a user's interests a row of W drawn with replacement, divided by its largest.
    Films that nobody liked are left out: nothing is known of their topics.

    Raises:
        InputError: the data set is not there, or a number is too small.
    """
    _check(config, n_users, None)
    reader = open_reader("movielens-100k", settings=get_settings(), notice=notice)
    users, items, stars = _ratings(reader)
    liked = stars >= LIKED
    user_ids, rows = np.unique(users[liked], return_inverse=True)
    item_ids, columns = np.unique(items[liked], return_inverse=True)
    matrix = np.zeros((len(user_ids), len(item_ids)))
    matrix[rows, columns] = 1.0
    of_users, of_items = factorise(matrix, N_TOPICS, seed)
    drawn = (Chance(seed).uniforms("donor", 1, np.arange(n_users))[:, 0] * len(user_ids)).astype(np.int64)
    scale = of_items.sum(0)
    interests = of_users[drawn] * scale
    interests /= np.maximum(interests.max(1, keepdims=True), 1e-12)
    return _world(config, of_items, interests, item_ids.tolist(), seed, reader)


def _world(
    config: SimulatorConfig, topics: Array, interests: Array, item_ids: list[str], seed: int, reader: Reader
) -> World:
    """Draw what no source says: quality, appeal and patience.

    ``quality = tanh(z_1)``, ``appeal = -clickbait z_1 + sqrt(1 - clickbait²) z_2`` with independent standard normal z,
    ``patience = mean (1 + spread (2 u - 1))`` with u uniform.
    """
    chance = Chance(seed)
    items, users = np.arange(len(topics)), np.arange(len(interests))
    first, second = chance.normals("item", 2, items).T
    shares = topics + 1e-9
    spread = 2.0 * chance.uniforms("patience", 1, users)[:, 0] - 1.0
    return World(
        shares / shares.sum(1, keepdims=True),
        np.tanh(first),
        -config.clickbait * first + np.sqrt(1.0 - config.clickbait**2) * second,
        interests,
        config.patience * (1.0 + config.patience_spread * spread),
        tuple(item_ids),
        tuple(f"simulated-{seed}-{user:06d}" for user in users),
        reader,
    )


def _check(config: SimulatorConfig, n_users: int, n_items: int | None) -> None:
    if n_users < 1:
        raise InputError(f"{n_users} users cannot be simulated; take at least 1")
    if n_items is not None:
        config.pool_of(n_items)


def _ratings(reader: Reader) -> tuple[NDArray[np.str_], NDArray[np.str_], Array]:
    columns: list[list[str]] = [[], [], []]
    for batch in reader.events():
        for column, name in zip(columns, ("user_id", "item_id", "value"), strict=True):
            column += batch.rows.column(name).to_pylist()
    return np.array(columns[0]), np.array(columns[1]), np.array(columns[2], dtype=np.float64)
