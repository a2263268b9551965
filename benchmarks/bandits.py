"""Bandits on items that nobody knows yet: ``python -m benchmarks.bandits --json``.

In the world of :mod:`benchmarks.bandit_world` films come one after another. Each round a random user is shown
one film of a pool of those that have come, and clicks on it or not. The regret of a round is the probability
of a click on the pool's best film less that of the film shown. All methods play the same rounds: the same users, pools
and luck. ε-greedy, LinUCB and Thompson sampling have the same features and the same posterior, and differ in how they
explore. ``ucb1`` and ``beta`` (Thompson sampling of each film's share of clicks) know the films by number alone.
``.batched``: what is served learns every 100 rounds, Thompson sampling by an ensemble of 32 draws.

ε, α, the constant of ``ucb1``, and how far items are drawn towards what their features say (κ), are for each method
those of least regret on other seeds. ``ratio``: regret over that of ε-greedy,
with the 95 % interval over seeds, which are drawn in pairs.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.bandit_players import Chance, Contextual, Counts, Player
from benchmarks.bandit_world import Array, Ratings, World, make_world, read_ratings
from benchmarks.data import DATASETS, pipeline_on
from benchmarks.report import Report, make_parser
from workers.bandits.base import BanditConfig

logger = logging.getLogger(__name__)

GRIDS = {
    "epsilon": (0.0, 0.02, 0.05, 0.1),
    "linucb": (0.5, 1.0, 1.5),
    "thompson": (0.25, 0.5, 1.0),
    "ucb1": (0.05, 0.1, 0.2),
}
SHRINKAGES = (1.0, 5.0)
"""κ of the methods that have recsql's posterior, each with each option."""
BATCH = 100
TUNED_FROM = 1_000
"""The first seed of those that options are chosen by."""


Maker = Callable[[World, int], Player]


Options = tuple[float, ...]
"""Exploration (epsilon, alpha or the constant), and the shrinkage where there is one."""


def method(name: str, options: Options, batch: int = 1) -> Maker:
    """What makes a method, by its name and its options."""
    if name == "random":
        return Chance
    if name in ("ucb1", "beta"):
        return lambda world, seed: Counts(world, seed, options[0] if options else None)
    option, shrinkage = options
    epsilon, alpha, kind = (option, 0.0, "greedy") if name == "epsilon" else (0.0, option, name)
    config = BanditConfig.model_validate({"bandit": kind, "alpha": alpha, "shrinkage": shrinkage})
    return lambda world, seed: Contextual(world, seed, config, epsilon, batch)


def grid(name: str) -> list[Options]:
    """The options of a method that are tried."""
    shrinkages = [()] if name == "ucb1" else [(shrinkage,) for shrinkage in SHRINKAGES]
    return [(option, *shrinkage) for option in GRIDS[name] for shrinkage in shrinkages]


Methods = dict[str, tuple[str, Options, int]]
"""What is played, by its name: the method, its options, and the rounds between updates."""


def play(ratings: Ratings, methods: Methods, options: Any, seed: int) -> dict[str, float]:
    """The regret of each method after all rounds in the world of a seed."""
    n_components = BanditConfig().content_dims
    world = make_world(ratings, options.films, options.users, options.rounds, n_components, seed)
    rng = np.random.default_rng(seed)
    players = {name: method(*told)(world, seed) for name, told in methods.items()}
    regret = dict.fromkeys(players, 0.0)
    for now in range(options.rounds):
        user = int(rng.integers(len(world.groups)))
        films, features = world.pool(user, now, options.pool, rng)
        chances, luck = world.probabilities[world.groups[user], films], rng.random()
        for name, player in players.items():
            place = player.choose(now, films, features)
            regret[name] += chances.max() - chances[place]
            player.observe(int(films[place]), features[place], float(luck < chances[place]))
    logger.info("seed %d: %s", seed, ", ".join(f"{name} {value:.0f}" for name, value in regret.items()))
    return regret


def play_seeds(ratings: Ratings, methods: Methods, options: Any, seeds: range) -> dict[str, Array]:
    """The regret of each method in each world, shape ``(n_seeds,)``, several at a time."""
    with ProcessPoolExecutor(options.processes, get_context("fork"), _share, (ratings, methods, options)) as executor:
        found = list(executor.map(_play_shared, seeds))
    return {name: np.array([regret[name] for regret in found]) for name in methods}


_shared: list[Any] = []


def _share(*given: Any) -> None:
    _shared[:] = given


def _play_shared(seed: int) -> dict[str, float]:
    ratings, methods, options = _shared
    return play(ratings, methods, options, seed)


def tune(ratings: Ratings, options: Any) -> dict[str, Options]:
    """The options of least regret of each method, on seeds of its own."""
    methods = {f"{name} {tried}": (name, tried, 1) for name in GRIDS for tried in grid(name)}
    regrets = play_seeds(ratings, methods, options, range(TUNED_FROM, TUNED_FROM + options.tuning_seeds))
    for name, regret in regrets.items():
        logger.info("tuning %s: regret %.1f", name, regret.mean())
    return {name: min(grid(name), key=lambda tried: regrets[f"{name} {tried}"].mean()) for name in GRIDS}


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-1m")
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--films", type=int, default=250, help="films that come")
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--pool", type=int, default=250, help="films to choose from in a round, at most")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--tuning-seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    protocol = f"pool-{options.pool}" if options.pool < options.films else None
    report = Report("bandits", options.dataset, protocol, options.seed)
    with pipeline_on(options.dataset) as pipeline:
        ratings = read_ratings(pipeline.connection)
    chosen = tune(ratings, options)
    methods = {name: (name, chosen.get(name, ()), 1) for name in ("random", "ucb1", "beta", *GRIDS)}
    methods |= {f"{name}.batched": (name, chosen[name], BATCH) for name in ("epsilon", "linucb", "thompson")}
    regrets = play_seeds(ratings, methods, options, range(options.seed, options.seed + options.seeds))
    report.publish(_figures(regrets, chosen, options), options.save)


def _figures(regrets: dict[str, Array], chosen: dict[str, Options], options: Any) -> dict[str, float]:
    results: dict[str, float] = {"rounds": options.rounds, "films": options.films, "seeds": options.seeds}
    for name, (option, *shrinkage) in chosen.items():
        results |= {f"option.{name}": option} | {f"shrinkage.{name}": value for value in shrinkage}
    rng = np.random.default_rng(options.seed)
    drawn = rng.integers(0, options.seeds, (2000, options.seeds))
    for name, values in regrets.items():
        base = regrets["epsilon.batched" if name.endswith(".batched") else "epsilon"]
        resampled = values[drawn].mean(axis=1)
        for figure, value, spread in (
            ("regret", values.mean(), resampled),
            ("ratio", values.mean() / base.mean(), resampled / base[drawn].mean(axis=1)),
        ):
            lo, hi = np.percentile(spread, [2.5, 97.5])
            results |= {
                f"{name}.{figure}": float(value),
                f"{name}.{figure}.lo": float(lo),
                f"{name}.{figure}.hi": float(hi),
            }
    return results


if __name__ == "__main__":
    main()
