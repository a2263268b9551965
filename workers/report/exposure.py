"""How a method spreads its places over the catalogue."""

from collections.abc import Mapping, Sequence

import numpy as np

N_POINTS = 50


def coverage_curve(rows: Sequence[Mapping[str, int]], n_items: int, cuts: Sequence[int]) -> list[tuple[int, float]]:
    """Share of the catalogue that is among anybody's first k, by k.

    Args:
        rows: of each item that is shown, ``best``: its best position in anybody's list, from 1.
        n_items: items of the catalogue.
        cuts: the lengths of lists that are asked for.
    """
    best = np.array([row["best"] for row in rows])
    return [(k, float(np.count_nonzero(best <= k)) / n_items) for k in cuts]


def lorenz_curve(rows: Sequence[Mapping[str, int]], n_items: int) -> list[tuple[float, float]]:
    """Share of all places that the least shown items have together, by their share of the catalogue.

    Args:
        rows: of each item that is shown, ``places``: in how many lists it is.
        n_items: items of the catalogue, those that are never shown included.

    Returns:
        Points from (0, 0) to (1, 1), 50 steps between; empty where nothing is shown.

    References:
        Lorenz, Methods of measuring the concentration of wealth, 1905.
    """
    places = np.zeros(n_items)
    places[: len(rows)] = [row["places"] for row in rows]
    if not places.sum():
        return []
    cumulative = np.concatenate([[0.0], np.cumsum(np.sort(places))]) / places.sum()
    shares = np.linspace(0, 1, N_POINTS + 1)
    at = np.interp(shares, np.linspace(0, 1, n_items + 1), cumulative)
    return list(zip(shares.tolist(), at.tolist(), strict=True))
