"""Collaborative filtering as it is served: lists that a source sums; the peers' metric."""

import numpy as np
import pytest

from benchmarks.peers import PEERS, Part, Peer, measure, measure_peers, read_part
from recsql.queries import QUERIES
from workers.interactions import read_run
from workers.models.base import TrainingData
from workers.models.slit import Slit, SlitConfig
from workers.pipeline import PipelineConfig
from workers.run import Run
from workers.stages import item_weights

KINDS = ("view", "like", "purchase")
HOUR = "to_timestamp(1704067200 + 3600 * %s::double precision)"


def record(connection, user, item, hour, kind="like"):
    connection.execute(f"select recsql_api.record_event(%s, %s, %s, p_at => {HOUR})", (user, item, kind, hour))


def begin_run(connection, split_no=None):
    """Number of a run with its interactions and popularity."""
    run_no = connection.execute("select recsql.begin_run(%s::integer, 'test', '{}')", (split_no,)).fetchone()[0]
    connection.execute("select recsql.refresh_interaction(%s::integer)", (run_no,))
    connection.execute("select recsql.refresh_item_popularity(%s::integer)", (run_no,))
    return run_no


@pytest.fixture
def catalogue(connection):
    """Thirty items, i0 … i29."""
    for item in range(30):
        connection.execute("select recsql_api.upsert_item(%s, %s)", (f"i{item}", f"Item {item}"))
    return connection


@pytest.mark.parametrize(("near", "long"), [((1.0, 50), (0.05, 100)), ((0.25, 3), (0.5, 8))])
def test_slit_scores_in_sql_are_those_of_the_model_with_the_histories_of_its_sources(catalogue, near, long):
    generator = np.random.default_rng(5)
    for user in range(25):
        for hour, item in enumerate(generator.permutation(30)[: generator.integers(1, 14)]):
            record(catalogue, f"u{user}", f"i{item}", hour, KINDS[generator.integers(3)])
    for source, (rate, length) in (("slit", near), ("slit_long", long)):
        catalogue.execute(
            "update recsql.source set history_rate = %s, history_length = %s where source = %s", (rate, length, source)
        )
    run_no = begin_run(catalogue)
    run = Run(catalogue, run_no, "production", PipelineConfig(models={"slit": {"ridge": (3.0, 9.0)}}))
    item_weights("slit")(run, lambda done, total, note: None)

    data = read_run(catalogue, run_no)
    assert data.sequences.weight_of_each().std() > 0.1
    histories = [{"decay": "harmonic", "rate": rate, "length": length} for rate, length in (near, long)]
    model = Slit(SlitConfig.model_validate({"histories": histories, "ridge": (3.0, 9.0)}))
    model.fit(TrainingData(data.sequences, len(data.item_nos)))
    expected = model.score(data.sequences, np.tile(np.arange(30), (data.sequences.n_users, 1)))

    rows = catalogue.execute(
        "select c.user_no, c.item_no, c.score from recsql.similarity_candidates("
        "%s::integer, (select source_no from recsql.source where source = 'slit'), 0, 1000, 1000) as c",
        (run_no,),
    ).fetchall()
    found = np.zeros_like(expected)
    for user_no, item_no, score in rows:
        found[data.user_rows(np.array([user_no]))[0], np.searchsorted(data.item_nos, item_no)] = score
    assert (expected < 0).any()
    # What speaks against an item counts in the sum; what ends below 0, and what the user knows, is no candidate.
    for row in range(data.sequences.n_users):
        expected[row, data.sequences.of(row)] = 0
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-6)


def test_source_list_gives_what_is_added_to_a_source(connection):
    rows = connection.execute(
        "select s.source, l.source, n.history_length from recsql.source_list as n "
        "inner join recsql.source as s using (source_no) inner join recsql.source as l on l.source_no = n.list_no "
        "where s.source in ('slit', 'ease', 'cosine_whole') order by n.list_no"
    ).fetchall()
    assert rows == [
        ("ease", "ease", 50),
        ("cosine_whole", "cosine", 5000),
        ("slit", "slit", 50),
        ("slit", "slit_long", 100),
    ]
    # A list that is added is no source of candidates, so that nothing weighs it twice.
    assert "slit_long" not in {source for _, source in connection.execute(QUERIES["sources"]).fetchall()}


def test_input_state_changes_with_how_a_source_reads_histories(connection):
    before = connection.execute(QUERIES["input_state"]).fetchone()
    assert connection.execute(QUERIES["input_state"]).fetchone() == before
    connection.execute("update recsql.source set history_rate = 0.25 where source = 'slit_long'")
    assert connection.execute(QUERIES["input_state"]).fetchone() != before


def test_peers_are_measured_as_we_are(catalogue):
    generator = np.random.default_rng(11)
    n_before = 0
    for user in range(12):
        order = generator.permutation(30)
        # The last two users are new after the cut.
        for item in order[: 3 if user < 10 else 0]:
            record(catalogue, f"u{user}", f"i{item}", generator.random())
            n_before += 1
        for item in order[3:9]:
            record(catalogue, f"u{user}", f"i{item}", 2 + generator.random())
    # Whoever has no event before the cut is in the split nevertheless: 30 of 102 events come first.
    split_no = catalogue.execute(
        "select recsql.make_split('global', 'test', p_share => %s::double precision)", ((n_before - 0.5) / 102,)
    ).fetchone()[0]
    run_no = begin_run(catalogue, split_no)
    data = read_run(catalogue, run_no)
    # Few different scores, so that ties decide; some items have none.
    scores = generator.integers(1, 4, (data.sequences.n_users, 30)).astype(np.float32)
    scores[generator.random(scores.shape) < 0.5] = np.nan
    for user, user_no in enumerate(data.user_nos):
        unseen = np.setdiff1d(np.flatnonzero(~np.isnan(scores[user])), data.sequences.of(user))
        catalogue.execute(
            "insert into recsql.candidate (run_no, user_no, source_no, item_nos, scores) "
            "select %s, %s, source_no, %s, %s from recsql.source where source = 'slit'",
            (run_no, int(user_no), data.item_nos[unseen].tolist(), scores[user, unseen].tolist()),
        )
    ours = catalogue.execute(
        "select ndcg, recall from recsql.user_metric(%s::integer, 'slit') order by has_history desc, user_no", (run_no,)
    ).fetchall()
    theirs = measure(read_part(catalogue, run_no), lambda users: scores[users.start : users.stop])
    assert theirs.shape == (12, 2)
    np.testing.assert_allclose(theirs, ours, atol=1e-9)
    assert 0 < theirs[:, 0].mean() < 1


def test_measure_counts_ties_against_a_peer():
    # Items 0 and 1 were seen. Of 2 … 13 all scores are equal and 13 is relevant: eleven come before it, so it is 12th.
    from scipy.sparse import csr_matrix

    seen = csr_matrix(np.array([[1, 1] + [0] * 12], dtype=np.float32))
    part = Part(seen, np.array([0]), [np.array([13])])
    assert measure(part, lambda users: np.ones((1, 14), dtype=np.float32)).tolist() == [[0, 0]]
    better = np.ones((1, 14), dtype=np.float32)
    better[0, 13] = 1.5
    assert measure(part, lambda users: better).tolist() == [[1, 1]]


def test_measure_peers_chooses_on_validation_and_reads_test_once(catalogue, monkeypatch):
    for user in range(6):
        for hour in range(8):
            record(catalogue, f"u{user}", f"i{(user + hour) % 10}", hour)
    runs = {
        part: begin_run(
            catalogue,
            catalogue.execute("select recsql.make_split('loo', %s, p_core => 1)", (part,)).fetchone()[0],
        )
        for part in ("validation", "test")
    }
    fitted = []

    def fit(seen, settings, seed):
        fitted.append((int(seen.sum()), settings["shift"]))
        # Everybody goes on to the item after the newest: shift 1 is right for all.
        newest = [max(seen[user].indices, key=lambda item: (item - user) % 10) for user in range(6)]
        wanted = (np.array(newest) + settings["shift"]) % 10
        return lambda users: np.eye(30, dtype=np.float32)[wanted][users.start : users.stop]

    monkeypatch.setitem(PEERS, "oracle", Peer(fit, {"shift": (2, 1, 3)}))
    results = measure_peers(catalogue, runs["validation"], runs["test"], 0, ("oracle",))
    # Six users had 6 events before validation's and 7 before test's; test is fitted once, under what was best.
    assert fitted == [(36, 2), (36, 1), (36, 3), (42, 1)]
    assert (results["oracle.shift"], results["oracle.validation.ndcg@10"], results["oracle.ndcg@10"]) == (1, 1, 1)
    assert results["oracle.recall@10.lo"] == results["oracle.recall@10.hi"] == 1
