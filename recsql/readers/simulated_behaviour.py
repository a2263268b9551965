"""What simulated users like, and what they do in consequence."""

from dataclasses import dataclass

import numpy as np

from recsql.readers.simulated_catalogue import GENRES

N_GENRES = len(GENRES["films"])
N_FACTORS = N_GENRES + 2
"""One factor a genre, and two of style that no genre explains."""

DRIFT = 0.35
"""How likely the next thing in a session is of the next genre, round in a circle, and not of the same one."""

SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Population:
    """The truth behind the events.

    Attributes:
        user_factors: shape (n_users, N_FACTORS).
        item_factors: shape (n_items, N_FACTORS).
        popularity: shape (n_items,): how much an item is noticed, whoever looks; log scale.
        preferences: shape (n_users, n_items), in (0, 1): how much a user likes an item.
    """

    user_factors: np.ndarray
    item_factors: np.ndarray
    popularity: np.ndarray
    preferences: np.ndarray


@dataclass(frozen=True)
class Log:
    """Events in the order of their time.

    Attributes:
        user_index: shape (n_events,), int64.
        item_index: shape (n_events,), int64.
        kind: one text an event.
        value: stars of a rating, None for the other kinds.
        second: shape (n_events,), int64: seconds from the start.
    """

    user_index: np.ndarray
    item_index: np.ndarray
    kind: list[str]
    value: list[str | None]
    second: np.ndarray


def populate(genre_index: np.ndarray, n_users: int, rng: np.random.Generator) -> Population:
    """Draw users and items.

    A user has a favourite genre and some taste for a second one; an item stands for its genre, a little for another
    one, and has a quality that all agree on: ``preference = sigmoid(4 (user · item) + quality - 2)``.
    """
    n_items = len(genre_index)
    items = rng.normal(0, 0.15, (n_items, N_FACTORS))
    items[np.arange(n_items), genre_index] += 1.0
    items[np.arange(n_items), rng.integers(0, N_GENRES, n_items)] += 0.3
    items[:, N_GENRES:] = rng.normal(0, 0.4, (n_items, N_FACTORS - N_GENRES))
    users = rng.normal(0, 0.1, (n_users, N_FACTORS))
    users[np.arange(n_users), rng.integers(0, N_GENRES, n_users)] += 1.0
    users[np.arange(n_users), rng.integers(0, N_GENRES, n_users)] += 0.5
    users[:, N_GENRES:] = rng.normal(0, 0.4, (n_users, N_FACTORS - N_GENRES))
    quality = rng.normal(0, 0.5, n_items)
    popularity = 0.5 * quality + 0.8 * rng.gumbel(0, 0.6, n_items)
    preferences = 1 / (1 + np.exp(2.0 - quality - 4.0 * (users @ items.T)))
    return Population(users, items, popularity, preferences)


def act(
    population: Population,
    genre_index: np.ndarray,
    repeats: np.ndarray,
    published_second: np.ndarray,
    days: int,
    sessions_per_user: float,
    rng: np.random.Generator,
) -> Log:
    """Let the users live through the days.

    A session begins with a genre that the user likes and drifts on from there. An item is chosen by preference,
    popularity and the genre of the moment, is viewed, and if it pleases, clicked, liked, bought or rated; if not,
    perhaps disliked.

    Args:
        population: the truth.
        genre_index: shape (n_items,).
        repeats: shape (n_items,), bool: whether an item can be had again.
        published_second: shape (n_items,): no event of an item is before.
        days: how long it lasts.
        sessions_per_user: mean number of sessions.
        rng: source of all chance.
    """
    rows: list[tuple[int, int, int, str, str | None]] = []
    n_users = len(population.preferences)
    attraction = 3.0 * population.preferences + population.popularity
    for user in range(n_users):
        had = np.zeros(len(genre_index), bool)
        taste = np.exp(2.0 * population.user_factors[user, :N_GENRES])
        n_sessions = max(1, int(rng.poisson(sessions_per_user * rng.gamma(2.0, 0.5))))
        for start in np.sort(rng.integers(0, days * SECONDS_A_DAY - 3 * 3600, n_sessions)).tolist():
            genre = int(rng.choice(N_GENRES, p=taste / taste.sum()))
            second = start
            for _ in range(int(rng.integers(2, 9))):
                open_items = (published_second <= second) & (repeats | ~had)
                if not open_items.any():
                    break
                logits = attraction[user] + 2.0 * (genre_index == genre) + rng.gumbel(0, 1, len(genre_index))
                item = int(np.argmax(np.where(open_items, logits, -np.inf)))
                had[item] = True
                liking = population.preferences[user, item]
                for kind, value in _reactions(liking, rng):
                    rows.append((second, user, item, kind, value))
                    second += int(rng.integers(5, 60))
                second += int(rng.integers(60, 900))
                genre = (genre + 1) % N_GENRES if rng.random() < DRIFT else int(genre_index[item])
    rows.sort(key=lambda row: row[0])
    seconds, users, items, kinds, values = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return Log(
        np.array(users, np.int64), np.array(items, np.int64), list(kinds), list(values), np.array(seconds, np.int64)
    )


def _reactions(liking: float, rng: np.random.Generator) -> list[tuple[str, str | None]]:
    reactions: list[tuple[str, str | None]] = [("view", None)]
    if rng.random() < 0.2 + 0.7 * liking:
        reactions.append(("click", None))
        if rng.random() < 0.4 * liking:
            reactions.append(("like", None))
        if rng.random() < 0.25:
            stars = int(np.clip(round(1 + 4 * liking + rng.normal(0, 0.6)), 1, 5))
            reactions.append(("rating", str(stars)))
        if rng.random() < 0.25 * liking:
            reactions.append(("purchase", None))
    elif rng.random() < 0.3 * (1 - liking):
        reactions.append(("dislike", None))
    return reactions
