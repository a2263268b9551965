"""What a model version makes of the states in which decisions were taken."""

from dataclasses import replace
from typing import Any

import numpy as np
import psycopg

from recsql.errors import ModelError, NotFoundError
from recsql.queries import QUERIES
from workers.binary import write_state_vectors
from workers.interactions import read_run, rows_of
from workers.models.registry import load_artifact


def write_states(connection: psycopg.Connection[Any], version_no: int) -> int:
    """Write the vectors of all states that ``recsql.transition`` has for a version's run, in place of what there was.

    Args:
        connection: in autocommit mode, with pgvector registered.
        version_no: a version of a sequence model.

    Returns:
        The number of states written; those whose items the version does not know have no vector.

    Raises:
        NotFoundError: there is no such version, it was pruned, or no decisions are known.
        ModelError: the model has no states, or its artifact is damaged.
    """
    from workers.models.sequence import SequenceModel

    found = connection.execute(QUERIES["version_model"], {"version": version_no}).fetchone()
    if found is None:
        raise NotFoundError(f"There is no model version {version_no}: 'recsql model list' shows them.")
    run_no, artifact, item_nos = found
    if artifact is None or run_no is None:
        raise NotFoundError(f"Version {version_no} has no artifact or no run any more, it was pruned: train it again.")
    model = load_artifact(artifact)
    if not isinstance(model, SequenceModel):
        raise ModelError(f"{model.name} does not read histories in order, so it has no states: take a sequence model.")
    decided = connection.execute(QUERIES["decided_states"], {"run_no": run_no}).fetchall()
    if not decided:
        raise NotFoundError(
            f"No decisions are known for run {run_no}: log recommendations (recommend with p_log => true) first."
        )
    user_nos, n_before = np.array(decided, dtype=np.int64).T
    data = read_run(connection, run_no)
    histories = data.sequences
    if item_nos is not None:
        rows = rows_of(np.array(item_nos, dtype=np.int64), data.item_nos)
        histories = replace(histories, items=rows[histories.items], dislikes=None, decisions=None)
    users = data.user_rows(user_nos)
    # A state is of interactions that the run has.
    is_there = (users >= 0) & (n_before <= np.diff(histories.offsets)[users])
    users, user_nos, n_before = users[is_there], user_nos[is_there], n_before[is_there]
    vectors = model.states(histories, histories.offsets[users] + n_before - 1)
    with connection.transaction():
        connection.execute(QUERIES["reset_state_vectors"], {"version": version_no})
        return write_state_vectors(connection, version_no, user_nos, n_before, vectors)
