"""What bandits have in common: their options, and how they score."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from workers.bandits.posterior import Array, Posterior

MAX_CONTENT_DIMS = 13
"""With which there are 31 features."""


class BanditConfig(BaseModel):
    """What ``ranking_policy.config`` holds of a bandit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bandit: Literal["linucb", "thompson", "greedy"] = "thompson"
    """How it explores; LinUCB repeats itself until the next update, and is worse than ε-greedy then."""
    alpha: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    """Standard deviations of the expected reward that LinUCB adds, and by which Thompson sampling's draws differ."""
    ridge: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Prior precision of the weights, in units of the noise's."""
    shrinkage: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    """Prior precision of what an item differs by: so many impressions weigh as much as what its features say."""
    content_dims: int = Field(default=8, ge=1, le=MAX_CONTENT_DIMS)
    """Principal components of the contents that are features."""
    half_life_days: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Age at which an impression counts half; None for never less."""
    settle_seconds: float = Field(default=300.0, ge=0, allow_inf_nan=False)
    """How old an impression is when it counts as one of which nothing came (until something comes)."""
    n_draws: int = Field(default=32, ge=1, le=256)
    """Of Thompson sampling, how many draws of the posterior are kept to be served."""


class Bandit(ABC):
    """A way of scoring items by a posterior."""

    name: ClassVar[str]

    def __init__(self, config: BanditConfig) -> None:
        self.config = config

    @abstractmethod
    def scores(
        self, posterior: Posterior, features: Array, item_nos: NDArray[np.int64], rng: np.random.Generator
    ) -> Array:
        """Score what may be shown.

        Args:
            posterior: what has been learnt.
            features: shape ``(n_items, n_features)``, in which the position is the first.
            item_nos: of the same rows; of items that the posterior does not know, the features alone speak.
            rng: of what is random.

        Returns:
            Higher is better, shape ``(n_items,)``.
        """
