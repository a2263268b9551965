"""Training that goes on from the version before: finding that version, and what is new to it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from recsql.errors import ModelError
from recsql.queries import QUERIES
from workers.interactions import rows_of
from workers.models.base import Model
from workers.models.inner_product import InnerProductModel
from workers.models.registry import load_artifact
from workers.models.start import Start
from workers.run import Run


@dataclass(frozen=True)
class Parent:
    """The version that a training goes on from.

    Attributes:
        version_no: its number.
        start: what it had learnt, and what is new to it.
        epochs: of its training from the beginning, which is what the next one from the beginning takes.
    """

    version_no: int
    start: Start
    epochs: float


def find_parent(run: Run, model: Model) -> Parent | None:
    """The version that a run's training of a model goes on from; None, with a notice why, where it begins anew."""
    name, config = model.name, model.config.model_dump_json()
    if not isinstance(model, InnerProductModel):
        run.notice(f"{name} is trained whole: its training does not go on from a version.")
        return None
    found = run.connection.execute(QUERIES["continuable_version"], run.parameters(model=name, config=config)).fetchone()
    if found is None:
        run.notice(
            f"{name} is trained whole: there is no version of earlier events of the {run.part} part to go on from."
        )
        return None
    version_no, earlier, differing = found
    if differing:
        run.notice(f"{name} is trained whole: version {version_no} has another configuration ({', '.join(differing)}).")
        return None
    row = run.connection.execute(QUERIES["version_weights"], {"version": version_no}).fetchone()
    assert row is not None
    try:
        state = load_artifact(row[0]).state()
    except ModelError as error:
        run.notice(f"{name} is trained whole: version {version_no} cannot be used: {error}.")
        return None
    if len(state["projection"]) != _content_width(run, model):
        run.notice(f"{name} is trained whole: version {version_no} was trained on other content vectors.")
        return None
    rows = rows_of(np.array(row[1], dtype=np.int64), run.data.item_nos)
    return Parent(version_no, Start(state, rows, _n_known(run, earlier)), row[2])


def _content_width(run: Run, model: InnerProductModel) -> int:
    """How wide the content vectors are that the model would learn from."""
    content = run.data.content
    return 0 if content is None or model.describe()["items"] == "id" else content.shape[1]


def _n_known(run: Run, earlier: int) -> Any:
    """How many of each user's interactions an earlier run knew, before the first that it did not."""
    n_known = np.diff(run.data.sequences.offsets)
    for user_no, n in run.connection.execute(QUERIES["new_interactions"], run.parameters(earlier=earlier)).fetchall():
        n_known[np.searchsorted(run.data.user_nos, user_no)] = n
    return n_known
