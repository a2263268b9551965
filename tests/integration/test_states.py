"""Policies learnt from feedback as sources of a run, and the vectors of the states in which decisions were taken."""

import numpy as np
import psycopg
import pytest

from recsql import ingest
from recsql.errors import ModelError, NotFoundError
from recsql.readers.simulated import SimulatedReader
from workers.interactions import read_run
from workers.models.registry import load_artifact
from workers.models.sequence import SequenceModel
from workers.pipeline import Pipeline, PipelineConfig
from workers.states import write_states

TINY = PipelineConfig(
    candidates=8,
    models={"q_learning": {"epochs": 1, "dim": 8, "max_length": 4}, "two_tower": {"epochs": 1, "dim": 8, "hidden": 8}},
)

SHOW = """
insert into recsql.impression (request_id, position, user_no, item_no, propensity, at)
select gen_random_uuid(), 1, e.user_no, e.item_no, 0.25, e.at + interval '1 second'
from recsql.event as e
"""


@pytest.fixture
def shown(connection):
    """A run with a policy and a model of no states, whose users were shown something after each event."""
    ingest.load(connection, SimulatedReader(n_users=30, n_items=20, with_media=False))
    connection.execute(SHOW)
    connection.execute("update recsql.source set is_active = source in ('q_learning', 'two_tower', 'popularity')")
    run_no = Pipeline(connection, TINY).run("production")
    query = "select m.model, v.version_no from recsql.model_version as v join recsql.model as m using (model_no)"
    return connection, run_no, dict(connection.execute(query).fetchall())


def test_policy_is_trained_and_its_vectors_give_candidates(shown):
    connection, run_no, versions = shown
    found = connection.execute(
        "select count(*), count(distinct user_no) from recsql.candidate inner join recsql.source using (source_no) "
        "where run_no = %s and source = 'q_learning'",
        (run_no,),
    ).fetchone()
    assert found[0] >= found[1] > 0
    assert read_run(connection, run_no).sequences.decisions is not None
    with pytest.raises(ModelError, match="two_tower does not read histories in order"):
        write_states(connection, versions["two_tower"])
    with pytest.raises(NotFoundError, match="no model version 99"):
        write_states(connection, 99)


def test_states_are_user_vectors_of_what_came_before(shown):
    connection, run_no, versions = shown
    version_no = versions["q_learning"]
    n_states = write_states(connection, version_no)
    rows = connection.execute(
        "select user_no, n_before, embedding from recsql.state_vector where version_no = %s order by 1, 2",
        (version_no,),
    ).fetchall()
    wanted = "select distinct user_no, n_before from recsql.transition(%s::integer) where n_before > 0 order by 1, 2"
    assert [row[:2] for row in rows] == connection.execute(wanted, (run_no,)).fetchall()
    assert len(rows) == n_states > 30
    artifact = connection.execute("select artifact from recsql.model_version where version_no = %s", (version_no,))
    model, data = load_artifact(artifact.fetchone()[0]), read_run(connection, run_no)
    assert isinstance(model, SequenceModel)
    for user_no, n_before, vector in rows[:: len(rows) // 20]:
        begin = data.sequences.offsets[data.user_rows(np.array([user_no]))[0]]
        before = data.sequences.pick(np.arange(begin, begin + n_before), np.array([0, n_before]))
        np.testing.assert_allclose(vector.to_numpy(), model.user_vectors(before)[0], rtol=1e-4, atol=1e-5)
    given = connection.execute(
        "select count(*) from recsql.transition(%s::integer, %s::integer) as t "
        "inner join recsql.state_vector as v using (user_no, n_before) where v.embedding = t.state "
        "and (t.is_done or t.next_state is not null)",
        (run_no, version_no),
    ).fetchone()[0]
    decided = "select count(*) from recsql.transition(%s::integer) where n_before > 0"
    assert (given,) == connection.execute(decided, (run_no,)).fetchone()
    # Written again they are the same, and no vector of another width goes in.
    assert write_states(connection, version_no) == n_states
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "insert into recsql.state_vector values (%s, 1000000, 1, '[1,2]'::public.vector)", (version_no,)
        )
    connection.execute("select recsql.prune_run(%s::integer)", (run_no,))
    assert connection.execute("select to_regclass(%s)", (f"recsql.state_vector_{version_no}",)).fetchone() == (None,)
    with pytest.raises(NotFoundError, match="it was pruned"):
        write_states(connection, version_no)


def test_states_need_decisions(shown):
    connection, run_no, versions = shown
    connection.execute("truncate recsql.impression")
    connection.execute("delete from recsql.reward")
    with pytest.raises(NotFoundError, match=f"No decisions are known for run {run_no}"):
        write_states(connection, versions["q_learning"])
