"""What a simulation is made of; :mod:`workers.simulator.environment` has the formulas that read it."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recsql.errors import InputError


class SimulatorConfig(BaseModel):
    """How simulated users behave.

    The defaults are of the size that the literature reports or assumes; ``docs/simulator.md`` says of each where it is
    from. Logits are what adds up before the logistic function.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    slate_size: int = Field(default=3, ge=1, le=50)
    """Items in a slate: positions of a request."""
    pool_size: int | None = Field(default=20, ge=1)
    """Candidates of a request, drawn uniformly from the catalogue; None gives the whole catalogue."""
    repeats: bool = False
    """Whether what was consumed in a session may be a candidate in it again."""

    base: float = -2.0
    """Logit of a click on an examined item that is of no interest and of mean appeal."""
    taste: float = Field(default=2.5, ge=0)
    """Logit that full interest in all of an item's topics adds."""
    appeal: float = Field(default=0.7, ge=0)
    """Logit that one standard deviation of appeal adds: title and picture, what can be seen before the click."""
    clickbait: float = Field(default=0.5, ge=-1, le=1)
    """Minus the correlation of appeal and quality: 1 is RecSim's choc and kale, 0 has them unrelated."""

    satiation: float = Field(default=0.25, ge=0)
    """Logit that an item loses for each item of the same topics consumed just before."""
    fading: float = Field(default=0.9, ge=0, le=1)
    """Share of satiation that is left after each request."""
    recovery: float = Field(default=6.0, gt=0)
    """Hours in which satiation halves between sessions."""

    drift: float = Field(default=0.3, ge=0)
    """Standard deviation of a user's interest in a topic around its mean, in the long run."""
    persistence: float = Field(default=0.9, ge=0, lt=1)
    """Correlation of a user's interests in two successive sessions around their mean."""

    examination: Literal["position", "cascade"] = "position"
    """Whether each position is looked at by itself, or one after the other until the user has had enough."""
    attention: float = Field(default=0.85, gt=0, le=1)
    """Position model: examination falls by this factor a position. Cascade: how likely the next is looked at after
    an item that was not clicked."""
    after_click: float = Field(default=0.6, ge=0, le=1)
    """Cascade: how likely the next position is looked at after a click; 0 is the classical cascade of one click."""

    patience: float = Field(default=10.0, gt=0)
    """What a session begins with, on average over users; a session ends when none is left."""
    patience_spread: float = Field(default=0.3, ge=0, lt=1)
    """How far a user's patience is from the mean at most, as a share of it."""
    effort: float = Field(default=1.0, gt=0)
    """Patience that a request takes."""
    boredom: float = Field(default=0.5, ge=0)
    """Patience that a request without a click takes beside."""
    bonus: float = Field(default=0.9, ge=0)
    """Patience that a consumed item of quality 1 gives back; one of quality -1 takes as much."""
    max_requests: int = Field(default=100, ge=1, le=1000)
    """A session ends after so many requests at the latest."""

    organic: int = Field(default=2, ge=0, le=20)
    """Items that users find for themselves when a session begins, chosen by preference and not by appeal."""
    session_gap: float = Field(default=24.0, ge=1)
    """Mean hours between sessions, exponential beyond the first hour."""
    request_seconds: int = Field(default=60, ge=1)
    """Seconds from one request to the next."""

    @model_validator(mode="after")
    def _check_slate(self) -> Self:
        if self.pool_size is not None and self.pool_size < self.slate_size:
            raise ValueError(f"a slate of {self.slate_size} needs a pool of as many, not {self.pool_size}")
        if self.request_seconds <= self.slate_size:
            raise ValueError(f"request_seconds must be above the {self.slate_size} clicks that a slate can have")
        return self

    def pool_of(self, n_items: int) -> int:
        """Candidates of a request over a catalogue, at least one slate whatever is consumed.

        Raises:
            InputError: the catalogue cannot fill a slate.
        """
        size = min(n_items, self.pool_size or n_items)
        if size < self.slate_size:
            raise InputError(
                f"a catalogue of {n_items} items cannot fill a slate of {self.slate_size}; "
                "take more items or a smaller slate"
            )
        return size
