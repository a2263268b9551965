"""The statistics of ``recsql_api.experiment_result`` on arrays, for thousands of simulated experiments at once.

A test holds them equal to the SQL to 1e-9. Arrays have one element an experiment and look, of any common shape.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from recsql.sequential import always_valid_bound

Array = NDArray[np.float64]

LEAST_USERS = 100
"""Of an arm, below which there is no verdict."""
WRONG_SPLIT = 0.001
"""p of the split, below which the alarm is raised."""


@dataclass(frozen=True)
class Arm:
    """Users of one variant summed up.

    Attributes:
        n: users.
        outcome: sum of their outcomes.
        outcome2: sum of the squares.
        covariate: sum of their covariates.
        covariate2: sum of the squares.
        product: sum of outcome times covariate.
    """

    n: Array
    outcome: Array
    outcome2: Array
    covariate: Array
    covariate2: Array
    product: Array

    @classmethod
    def of(cls, outcome: Array, covariate: Array) -> "Arm":
        """An arm by its users: both arguments have shape ``(n,)``."""
        sums = (outcome, outcome**2, covariate, covariate**2, outcome * covariate)
        return cls(np.float64(len(outcome)), *(array.sum() for array in sums))  # pyright: ignore[reportArgumentType]

    def mean(self) -> Array:
        """Mean outcome."""
        return self.outcome / self.n

    def covariate_mean(self) -> Array:
        """Mean covariate."""
        return self.covariate / self.n

    def variance(self) -> Array:
        """Sample variance of the outcome."""
        return (self.outcome2 - self.outcome**2 / self.n) / (self.n - 1)

    def covariate_variance(self) -> Array:
        """Sample variance of the covariate."""
        return (self.covariate2 - self.covariate**2 / self.n) / (self.n - 1)

    def covariance(self) -> Array:
        """Sample covariance of both."""
        return (self.product - self.outcome * self.covariate / self.n) / (self.n - 1)


@dataclass(frozen=True)
class Comparison:
    """A variant beside the control.

    Attributes:
        difference: of the means.
        error: its standard error.
        cuped_difference: adjusted by the covariate.
        cuped_error: its standard error.
        fixed: standard errors to either side for one look.
        bound: the same for any number of looks.
        least_users: of the smaller arm.
        split_p: how probable so uneven a split is by chance.
    """

    difference: Array
    error: Array
    cuped_difference: Array
    cuped_error: Array
    fixed: float
    bound: Array
    least_users: Array
    split_p: Array

    def found(self, difference: Array, error: Array, width: Array | float) -> NDArray[np.bool_]:
        """Where an interval of so many standard errors tells the arms apart."""
        return (np.abs(difference) > width * error) & (self.least_users >= LEAST_USERS)


def linearised(reward: Array, n_requests: Array) -> Array:
    """What each user of an arm moves the reward per request by, around it: mean is the ratio, variance the delta's."""
    ratio = reward.sum() / n_requests.sum()
    return ratio + (reward - ratio * n_requests) / n_requests.mean()


def compare(control: Arm, variant: Arm, planned: float, alpha: float = 0.05, share: float = 0.5) -> Comparison:
    """Compare the two arms of an experiment; ``share``: of the users that the variant is to get."""
    from scipy.special import chdtrc

    error2 = variant.variance() / variant.n + control.variance() / control.n
    degrees = (control.n - 1, variant.n - 1)
    of_covariate = degrees[0] * control.covariate_variance() + degrees[1] * variant.covariate_variance()
    together = degrees[0] * control.covariance() + degrees[1] * variant.covariance()
    slope = np.divide(together, of_covariate, out=np.zeros_like(together), where=of_covariate > 0)
    cuped_error2 = sum(
        (arm.variance() - 2 * slope * arm.covariance() + slope**2 * arm.covariate_variance()) / arm.n
        for arm in (control, variant)
    )
    difference = variant.mean() - control.mean()
    n = control.n + variant.n
    expected = (1 - share) * n, share * n
    statistic = (control.n - expected[0]) ** 2 / expected[0] + (variant.n - expected[1]) ** 2 / expected[1]
    return Comparison(
        difference,
        np.sqrt(error2),
        difference - slope * (variant.covariate_mean() - control.covariate_mean()),
        np.sqrt(np.maximum(cuped_error2, 0)),
        NormalDist().inv_cdf(1 - alpha / 2),
        np.vectorize(always_valid_bound)(n, planned, alpha),
        np.minimum(control.n, variant.n),
        chdtrc(1, statistic),
    )
