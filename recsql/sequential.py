"""How many users an experiment needs whose results are looked at all the time.

The bound is that of the SQL function ``recsql.always_valid_bound``, which the results are judged by.
"""

import math
from statistics import NormalDist

from recsql.errors import InputError


def always_valid_bound(n: float, planned: float, alpha: float) -> float:
    """How many standard errors a mean of ``n`` users may be off, with probability ``1 - alpha`` at all times at once.

    ``sqrt((x + 1) / x * log((x + 1) / alpha²))`` with ``x = n / planned * (log(1 - 2 log alpha) - 2 log alpha)``: the
    asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit
    theory and asymptotic confidence sequences" (Annals of Statistics 2024), theorem 2.2, at its tightest at
    ``planned`` users.
    """
    growth = n / planned * (math.log(1 - 2 * math.log(alpha)) - 2 * math.log(alpha))
    return math.sqrt((growth + 1) / growth * (math.log(growth + 1) - 2 * math.log(alpha)))


def needed_users(
    mean: float,
    sd: float,
    lift: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    share: float = 0.5,
    correlation: float = 0.0,
    is_sequential: bool = True,
) -> int:
    """Users, in variant and control together, after which a lift is found with at least the given probability.

    The variant's standard deviation is taken to be larger by the lift too, as it is where every reward grows. What
    is found earlier than with the last user is not counted on, so the true power is somewhat higher.

    Args:
        mean: of the control's outcomes, above 0.
        sd: their standard deviation, above 0.
        lift: relative, as 0.05 for 5 % more; not 0, above -1.
        alpha: probability of a false verdict.
        power: probability of finding the lift, above 0 and below 1.
        share: of the users that the variant gets, above 0 and below 1.
        correlation: of outcome and covariate, from 0 to below 1: CUPED leaves ``1 - correlation²`` of the variance.
        is_sequential: by the always-valid interval; else by one look at the end.

    Raises:
        InputError: an argument is out of its range.
    """
    ranges = {
        "The baseline's mean": (mean, 0, math.inf),
        "The standard deviation": (sd, 0, math.inf),
        "The lift": (lift, -1, math.inf),
        "alpha": (alpha, 0, 0.5),
        "The power": (power, 0, 1),
        "The share of the variant": (share, 0, 1),
    }
    for name, (value, low, high) in ranges.items():
        if not low < value < high:
            raise InputError(f"{name} is {value:g}: it must lie between {low:g} and {high:g}.")
    if lift == 0:
        raise InputError("A lift of 0 cannot be found: say how small a lift must not be missed, as 0.05.")
    if not 0 <= correlation < 1:
        raise InputError(f"The correlation is {correlation:g}: it must be from 0 to below 1.")
    bound = always_valid_bound(1, 1, alpha) if is_sequential else NormalDist().inv_cdf(1 - alpha / 2)
    spread = sd**2 * (1 / (1 - share) + max(1.0, 1 + lift) ** 2 / share) * (1 - correlation**2)
    return math.ceil((bound + NormalDist().inv_cdf(power)) ** 2 * spread / (lift * mean) ** 2)
