"""How often 95 % intervals of off-policy estimates cover the truth, where clicks are rare and logs are short.

``python -m benchmarks.ope_intervals --json`` draws logs of slates whose clicks depend on item and position alone, from
policies that lie nearer to and further from the one that is evaluated, and compares six kinds of intervals of IPS and
of DR with a poor model: ``normal`` (mean +- 1.96 errors), ``percentile`` and ``bca`` (bootstrap), ``studentised``
(bootstrap-t), ``hall`` (what :mod:`workers.ope` decides by) and ``bernstein`` (empirical, Maurer and Pontil 2009).

``results``: ``ESTIMATOR.KIND.BAND`` is the share of logs whose interval holds the truth, ``.width`` its median width
over the truth; BAND is the number of rewarded requests that the log is worth (``effective_rewarded``).
"""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Report, make_parser
from workers.ope.estimators import dr, effective_size, ips
from workers.ope.intervals import bootstrap_interval, hall_interval
from workers.ope.logs import Array

N_ITEMS, N_POSITIONS = 20, 5
N_REQUESTS = (300, 1000, 3000)
RATES = (0.003, 0.01, 0.05)
"""Of a click on the average item at the first position."""
LOGGING = ("soft", "uniform", "epsilon")
BANDS = ((0, 5), (5, 20), (20, 50), (50, np.inf))
N_RESAMPLES = 400
_NORMAL = NormalDist()


def main() -> None:
    """Draw and count."""
    parser = make_parser(__doc__)
    parser.add_argument("--worlds", type=int, default=8, help="of each kind")
    parser.add_argument("--logs", type=int, default=5, help="of each world")
    options = parser.parse_args()
    report = Report("ope_intervals", "simulated", seed=options.seed)
    random = np.random.default_rng(options.seed)
    covers: dict[tuple[str, str, str], list[bool]] = {}
    widths: dict[tuple[str, str, str], list[float]] = {}
    for n in N_REQUESTS:
        for rate in RATES:
            for logging in LOGGING:
                for _ in range(options.worlds):
                    world = World(random, rate, logging)
                    for _ in range(options.logs):
                        contributions, rewarded = world.draw(n)
                        band = next(f"{lo}-{hi}" for lo, hi in BANDS if lo <= rewarded < hi)
                        for kind, (lower, upper) in intervals(contributions, int(random.integers(2**31))).items():
                            for nth, estimator in enumerate(("ips", "dr")):
                                key = estimator, kind, band
                                covers.setdefault(key, []).append(bool(lower[nth] <= world.truth <= upper[nth]))
                                widths.setdefault(key, []).append(float(upper[nth] - lower[nth]) / world.truth)
    results: dict[str, float] = {}
    for (estimator, kind, band), held in sorted(covers.items()):
        results[f"{estimator}.{kind}.{band}"] = float(np.mean(held))
        width = float(np.median(widths[estimator, kind, band]))
        if np.isfinite(width):
            results[f"{estimator}.{kind}.{band}.width"] = width
        results[f"n.{band}"] = len(held)
    report.publish(results, options.save)


class World:
    """Items whose click rates are known, a logging policy and one to evaluate, both drawing positions independently.

    Args:
        random: of the world, and of what is drawn of it.
        rate: of a click on the average item at the first position.
        logging: how far the logging policy lies from the other: ``soft``, ``uniform`` or ``epsilon``.
    """

    def __init__(self, random: np.random.Generator, rate: float, logging: str) -> None:
        self._random = random
        rates = np.exp(random.normal(0, 0.7, N_ITEMS))
        self._rates = rate * rates / rates.mean()
        self._examined = 1 / np.sqrt(np.arange(1, N_POSITIONS + 1))
        if logging == "soft":
            self._logging, self._target = (_softmax(random.normal(0, scale, N_ITEMS)) for scale in (0.7, 1.0))
        else:
            self._target = np.full(N_ITEMS, 0.1 / N_ITEMS)
            self._target[random.integers(N_ITEMS)] += 0.6
            self._target[0] += 0.3
            explore = 1.0 if logging == "uniform" else 0.3
            self._logging = np.full(N_ITEMS, explore / N_ITEMS)
            self._logging[0] += 1 - explore
        # A model that is wrong of every item, and too low or not there at all.
        self._predicted = self._rates * np.exp(random.normal(0, 0.3, N_ITEMS)) * random.uniform(0, 1)
        self.truth = float(self._target @ self._rates * self._examined.sum())

    def draw(self, n: int) -> tuple[Array, float]:
        """Contributions of requests to IPS and DR, shape ``(n, 2)``, and how many rewarded requests they are worth."""
        items = self._random.choice(N_ITEMS, (n, N_POSITIONS), p=self._logging)
        rewards = (self._random.random(items.shape) < self._rates[items] * self._examined).astype(np.float64)
        weights = (self._target / self._logging)[items]
        predicted = self._predicted[items] * self._examined
        expected = np.broadcast_to(self._target @ self._predicted * self._examined, items.shape)
        contributions = [method(rewards, weights, predicted, expected) for method in (ips, dr)]
        return np.stack(contributions, axis=1), effective_size(weights) * float((rewards > 0).any(axis=1).mean())


def intervals(contributions: Array, seed: int) -> dict[str, tuple[Array, Array]]:
    """95 % intervals of each kind, by name: lower and upper bounds, shape ``(n_estimates,)``."""
    n = len(contributions)
    mean = contributions.mean(axis=0)
    error = contributions.std(axis=0, ddof=1) / np.sqrt(n)
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), N_RESAMPLES).astype(np.float64)
    means = counts @ contributions / n
    spread = contributions.max(axis=0) - contributions.min(axis=0)
    log = np.log(2 / 0.025)
    bernstein = np.sqrt(2 * error**2 * log) + 7 * spread * log / (3 * (n - 1))
    return {
        "normal": (mean - 1.96 * error, mean + 1.96 * error),
        "percentile": (np.quantile(means, 0.025, axis=0), np.quantile(means, 0.975, axis=0)),
        "bca": _bca(contributions, means),
        "studentised": bootstrap_interval(contributions, seed, N_RESAMPLES),
        "hall": hall_interval(contributions),
        "bernstein": (mean - bernstein, mean + bernstein),
    }


def _bca(contributions: Array, means: Array) -> tuple[Array, Array]:
    """Bias-corrected and accelerated intervals (Efron 1987)."""
    mean = contributions.mean(axis=0)
    below = (means < mean).mean(axis=0) + (means == mean).mean(axis=0) / 2
    centred = contributions - mean
    squares = (centred**2).sum(axis=0)
    bounds: list[list[float]] = [[], []]
    for nth in range(contributions.shape[1]):
        bias = _NORMAL.inv_cdf(float(np.clip(below[nth], 1e-4, 1 - 1e-4)))
        acceleration = float((centred[:, nth] ** 3).sum() / (6 * squares[nth] ** 1.5)) if squares[nth] > 0 else 0.0
        for held, level in zip(bounds, (0.025, 0.975), strict=True):
            z = bias + _NORMAL.inv_cdf(level)
            held.append(float(np.quantile(means[:, nth], _NORMAL.cdf(bias + z / (1 - acceleration * z)))))
    return np.array(bounds[0]), np.array(bounds[1])


def _softmax(logits: NDArray[np.float64]) -> Array:
    chances = np.exp(logits)
    return chances / chances.sum()


if __name__ == "__main__":
    main()
