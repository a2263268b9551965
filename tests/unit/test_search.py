"""Search spaces: what models declare is about fields that they have, and covers what they are by default."""

from typing import Any

import pytest
from optuna.trial import FixedTrial

from workers.models.registry import MODELS, get_model
from workers.models.search import Choice, Range
from workers.models.slit import Slit
from workers.tuning import draw

SEARCHED = [name for name in sorted(MODELS) if get_model(name).search]


def test_models_that_can_be_searched() -> None:
    assert {"ease", "ease_whole", "slit", "transformer"} <= set(SEARCHED)


@pytest.mark.parametrize("name", SEARCHED)
def test_search_holds_the_default_and_all_its_bounds_are_allowed(name: str) -> None:
    model = get_model(name)
    defaults = model.Config()
    for field, where in model.search.items():
        default = getattr(defaults, field)
        parts = where if isinstance(where, tuple) else (where,)
        values = default if isinstance(where, tuple) else (default,)
        assert all(part.contains(value) for part, value in zip(parts, values, strict=True)), field
        ends = [part.options if isinstance(part, Choice) else (part.low, part.high) for part in parts]
        # Each alone, with the default of the others.
        for chosen in zip(*ends, strict=True):
            option: Any = chosen if isinstance(where, tuple) else chosen[0]
            assert getattr(model.Config(**{field: option}), field) == option


def test_range_and_choice_contain() -> None:
    assert Range(1, 3).contains(3)
    assert not Range(1, 3).contains(3.5)
    assert not Range(0.0, 1.0).contains("a")
    assert Choice((32, 64)).contains(64)
    assert not Choice((32, 64)).contains(48)


def test_draw_puts_the_parts_of_a_tuple_together() -> None:
    chosen = {"ridge.0": 20.0, "ridge.1": 200.0, "future_length": 4, "reverse": 0.5, "popularity_power": 0.1}
    drawn = draw(FixedTrial(chosen), Slit.search)  # pyright: ignore[reportArgumentType]
    assert drawn == {"ridge": [20.0, 200.0], "future_length": 4, "reverse": 0.5, "popularity_power": 0.1}
    assert Slit.Config(**drawn).ridge == (20.0, 200.0)  # pyright: ignore[reportAttributeAccessIssue]
