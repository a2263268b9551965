"""What single events add to what models of vectors say: kept by runs, as if the model were asked again, and told."""

import itertools

import numpy as np
import pytest

from recsql import ingest
from recsql.readers.simulated import SimulatedReader
from workers import attributions
from workers.interactions import read_run
from workers.models.base import Sequences
from workers.models.registry import load_artifact
from workers.pipeline import Pipeline, PipelineConfig

MODELS = {
    "transformer": {"epochs": 1, "dim": 8, "n_layers": 1, "n_heads": 1},
    "two_tower": {"epochs": 1, "dim": 8, "hidden": 8},
    "neumf": {"epochs": 1, "dim": 4, "layers": [8, 4]},
}
CONFIG = PipelineConfig(candidates=20, models=MODELS)


@pytest.fixture(scope="module")
def simulated(server, template):
    """Thirty users and the run that is served to them, with two models of vectors and one without."""
    from recsql.db import connect

    with server.clone(template) as name, connect(server.url(name)) as connection:
        ingest.load(connection, SimulatedReader(n_users=30, n_items=40, with_media=False))
        put_content(connection)
        connection.execute(
            "update recsql.source set is_active = "
            "source in ('sequential', 'slit', 'cosine', 'content', 'user_cosine', 'popularity', 'new_items') "
            "or source = any (%s)",
            (list(MODELS),),
        )
        run_no, _ = Pipeline(connection, CONFIG).publish()
        yield connection, run_no


def put_content(connection):
    """A space of content in which no two items are the same, and all cosines above 0."""
    connection.execute("select recsql.add_embedding_space('text', 'text', 'none', '1', 3, '{title}')")
    rng = np.random.default_rng(0)
    for (item_no,) in connection.execute("select item_no from recsql.item order by 1").fetchall():
        connection.execute(
            "insert into recsql.item_embedding (space_no, item_no, content_hash, embedding) values (1, %s, '', %s)",
            (item_no, rng.random(3).astype(np.float32)),
        )


def serve_by(connection, run_no, kind, weights):
    """Serve the run as fused by a policy of its own."""
    [(policy_no,)] = connection.execute(
        "insert into recsql.fusion_policy (policy, kind, weights) values (%s || ' ' || random(), %s, %s::jsonb) "
        "returning policy_no",
        (kind, kind, weights),
    ).fetchall()
    connection.execute("select recsql.fuse(%s::integer, %s::integer, 0, 1000)", (run_no, policy_no))
    connection.execute("select recsql.publish(%s::integer, %s::integer)", (run_no, policy_no))


def top_10(connection):
    """What every user is given: user, item, score."""
    return connection.execute(
        "select u.user_id, r.item_id, r.score from recsql.app_user as u, recsql_api.recommend(u.user_id, 10) as r"
    ).fetchall()


def explain(connection, user, item, **options):
    names = "".join(f", p_{name} => %({name})s" for name in options)
    query = f"select * from recsql_api.explain_recommendation(%(user)s, %(item)s{names})"
    return connection.execute(query, {"user": user, "item": item, **options}).fetchall()


def version_of(connection, run_no, model):
    row = connection.execute(
        "select version_no, artifact from recsql.model_version join recsql.model using (model_no) "
        "where run_no = %s and model = %s",
        (run_no, model),
    ).fetchone()
    assert row is not None
    return row


def kept(connection, version_no):
    """What is kept of a version: difference by user and item."""
    rows = connection.execute(
        "select user_no, item_no, embedding from recsql.attribution where version_no = %s", (version_no,)
    ).fetchall()
    return {(user_no, item_no): vector.to_numpy() for user_no, item_no, vector in rows}


def asked(model, histories):
    """What the model says of users."""
    vectors = model.user_vectors(histories)
    assert vectors is not None
    return vectors


@pytest.mark.parametrize("name", ["transformer", "two_tower"])
def test_attribution_is_what_the_model_says_less_what_it_says_without_the_event(simulated, name):
    connection, run_no = simulated
    version_no, artifact = version_of(connection, run_no, name)
    found, model, data = kept(connection, version_no), load_artifact(artifact), read_run(connection, run_no)
    lengths = np.diff(data.sequences.offsets)
    assert len(found) == np.minimum(lengths, 10).sum()
    for row, user_no in enumerate(data.user_nos[:10]):
        history = data.sequences.take(np.array([row]))
        whole = asked(model, history)[0]
        # The newest two, and the tenth from the end.
        for place in {len(history.items) - 1, len(history.items) - 2, max(0, len(history.items) - 10)}:
            left = np.delete(np.arange(len(history.items)), place)
            expected = whole - asked(model, history.pick(left, np.array([0, len(left)])))[0]
            item_no = data.item_nos[history.items[place]]
            np.testing.assert_allclose(found[user_no, item_no], expected, atol=1e-5)


def test_only_event_of_a_user_is_all_that_the_vector_is_made_of(simulated):
    connection, run_no = simulated
    model = load_artifact(version_of(connection, run_no, "two_tower")[1])
    alone = Sequences.from_lists([[3], []])
    places, differences = attributions.occlusions(model, alone)
    assert places.tolist() == [0]
    np.testing.assert_allclose(differences, asked(model, alone)[:1])


def test_ranges_of_users_give_the_same_as_all_at_once(simulated, monkeypatch):
    connection, run_no = simulated
    data = read_run(connection, run_no)
    ranges = list(attributions._ranges(data.sequences))
    assert ranges == [(0, len(data.user_nos))]
    monkeypatch.setattr(attributions, "_INTERACTIONS_AT_ONCE", 500)
    ranges = list(attributions._ranges(data.sequences))
    assert len(ranges) > 3
    assert list(itertools.chain(*(range(*ends) for ends in ranges))) == list(range(len(data.user_nos)))


def test_run_since_another_takes_over_attributions_of_those_who_did_nothing(simulated, monkeypatch):
    connection, run_no = simulated
    before = kept(connection, version_of(connection, run_no, "transformer")[0])
    user_no = next(iter(before))[0]
    connection.execute(
        "insert into recsql.event (user_no, item_no, kind_no, at) select %s, i.item_no, k.kind_no, now() "
        "from recsql.event_kind as k, recsql.item as i where k.kind = 'like' and i.item_no not in "
        "(select e.item_no from recsql.event as e where e.user_no = %s) order by i.item_no limit 1",
        (user_no, user_no),
    )
    n_users = []
    real = attributions.occlusions
    monkeypatch.setattr(
        attributions, "occlusions", lambda model, part: n_users.append(part.n_users) or real(model, part)
    )
    later = Pipeline(connection, CONFIG).run("production", since=run_no)
    after = kept(connection, version_of(connection, later, "transformer")[0])
    # Of two_tower, which reads weights, those of everybody may be computed anew.
    assert n_users[0] == 1
    assert all(np.array_equal(after[key], before[key]) for key in before if key[0] != user_no)
    assert {item for user, item in after if user == user_no} != {item for user, item in before if user == user_no}
    connection.execute("select recsql.prune_run(%s::integer)", (later,))
    gone = version_of(connection, later, "transformer")[0]
    assert connection.execute("select to_regclass(%s)", (f"recsql.attribution_{gone}",)).fetchone() == (None,)


WEIGHTS = (
    '{"sequential": 1, "slit": 0.7, "cosine": 0.5, "content": 0.9, "user_cosine": 0.3, "popularity": 0.1, '
    '"new_items": 0.1, "transformer": 1.1, "two_tower": 0.8, "neumf": 0.6}'
)


@pytest.mark.parametrize("kind", ["weighted", "rrf"])
def test_contributions_sum_to_every_score_of_every_user(simulated, kind):
    connection, run_no = simulated
    serve_by(connection, run_no, kind, WEIGHTS)
    served, components = top_10(connection), set()
    assert len(served) > 290
    for user, item, score in served:
        rows = explain(connection, user, item)
        assert sum(row[3] for row in rows) == pytest.approx(score, abs=1e-6)
        components |= {(row[0], row[1] is not None) for row in rows}
    # Of everything that is a sum, and of what is asked by occlusion, items are named.
    for source in ("sequential", "slit", "cosine", "content", "transformer", "two_tower"):
        assert (source, True) in components
    for source in ("user_cosine", "popularity", "neumf", "transformer"):
        assert (source, False) in components
    assert {source for source, is_named in components if not is_named} & {"sequential", "cosine", "content"} == set()


def test_part_of_a_model_changes_by_what_its_evidence_says(simulated):
    connection, run_no = simulated
    serve_by(connection, run_no, "weighted", '{"transformer": 2}')
    user, item, _ = top_10(connection)[0]
    rows = {row[1]: row[3] for row in explain(connection, user, item) if row[0] == "transformer"}
    version_no = version_of(connection, run_no, "transformer")[0]
    user_no, item_no = connection.execute(
        "select user_no, item_no from recsql.app_user, recsql.item where user_id = %s and item_id = %s", (user, item)
    ).fetchone()
    item_nos, scores = connection.execute(
        "select item_nos, scores from recsql.score where run_no = %s and version_no = %s and user_no = %s",
        (run_no, version_no, user_no),
    ).fetchone()
    vectors = {
        no: vector.to_numpy()
        for no, vector in connection.execute(
            "select item_no, embedding from recsql.item_vector where version_no = %s", (version_no,)
        )
    }
    for (owner, event_no), difference in kept(connection, version_no).items():
        if owner == user_no:
            event = connection.execute("select item_id from recsql.item where item_no = %s", (event_no,)).fetchone()[0]
            # The scale of the part: its weight, from the user's weakest candidate to the best.
            expected = 2 * difference @ (vectors[item_no] - vectors[item_nos[-1]]) / (scores[0] - scores[-1])
            assert rows[event] == pytest.approx(expected, abs=1e-5)
    place = item_nos.index(item_no)
    expected = 2 * (scores[place] - scores[-1]) / (scores[0] - scores[-1])
    assert sum(rows.values()) == pytest.approx(expected, abs=1e-6)


def test_explanation_of_a_model_says_how_it_was_found(simulated):
    connection, run_no = simulated
    serve_by(connection, run_no, "weighted", '{"transformer": 1, "neumf": 0.5}')
    shown = ((user, item, explain(connection, user, item)) for user, item, _ in top_10(connection))
    user, item, rows = next(found for found in shown if {row[0] for row in found[2]} >= {"transformer", "neumf"})
    title = dict(connection.execute("select item_id, title from recsql.item").fetchall())
    for component, evidence, _, contribution, told, _ in rows:
        if component == "neumf":
            assert (evidence, told) == (None, "fits your taste (not to be divided among what you had)")
        elif component == "transformer" and evidence is None:
            assert told == "fits your recent choices: all that you had together"
        elif component == "transformer":
            word = "more" if contribution < 0 else "less"
            assert told == f"fits your recent choices, {word} so without {title[evidence]} (by occlusion)"
    german = explain(connection, user, item, language="de")
    assert [row[:4] for row in german] == [row[:4] for row in rows]
    assert "passt zu deinem Geschmack (nicht aufzuteilen auf das, was du hattest)" in {row[4] for row in german}
