"""Metrics in SQL: against values worked out by hand, and against ir-measures."""

import ir_measures
import numpy as np
import psycopg
import pytest
from ir_measures import AP, RR, R, nDCG
from offline_runs import SOURCE, begin_run, rank, record

from workers import evaluate as evaluation
from workers.evaluate import evaluate

MEASURES = {"ndcg": nDCG, "recall": R, "mrr": RR, "average_precision": AP}


def user_metrics(connection, run_no, k=10):
    """Number of relevant items and the metrics of each user, by the user's id."""
    rows = connection.execute(
        "select u.user_id, m.n_relevant, m.ndcg, m.recall, m.mrr, m.average_precision "
        "from recsql.user_metric(%s::integer, %s, %s) as m "
        "inner join recsql.app_user as u on u.user_no = m.user_no",
        (run_no, SOURCE, k),
    ).fetchall()
    return {user: (n_relevant, dict(zip(MEASURES, values, strict=True))) for user, n_relevant, *values in rows}


def reference(relevant, rankings, k):
    """The same metrics by ir-measures; a user without a ranking counts 0."""
    qrels = [ir_measures.Qrel(user, item, 1) for user, items in relevant.items() for item in items]
    run = [
        ir_measures.ScoredDoc(user, item, score) for user, scores in rankings.items() for item, score in scores.items()
    ]
    found = {user: dict.fromkeys(MEASURES, 0.0) for user in relevant}
    for name, measure in MEASURES.items():
        for metric in ir_measures.iter_calc([measure @ k], qrels, run):
            found[metric.query_id][name] = metric.value
    return found


@pytest.fixture
def catalogue(connection):
    """Forty items, i0 … i39."""
    for item in range(40):
        connection.execute("select recsql_api.upsert_item(%s, %s)", (f"i{item}", f"Item {item}"))
    return connection


def random_ranking(generator, n_items):
    """Some of the items with scores that differ, in no order; small integers are exact in any float."""
    items = generator.permutation(40)[:n_items]
    scores = generator.permutation(n_items * 3)[:n_items]
    return {f"i{item}": float(score) for item, score in zip(items, scores, strict=True)}


@pytest.mark.parametrize("seed", [1, 2])
def test_user_metric_agrees_with_ir_measures_with_several_relevant_items(catalogue, seed):
    generator = np.random.default_rng(seed)
    relevant, rankings, n_before, n_events = {}, {}, 0, 0
    for number in range(30):
        user, order = f"u{number}", generator.permutation(40)
        known, later = order[:3], order[3 : 3 + generator.integers(0, 16)]
        for item in known:
            record(catalogue, user, f"i{item}", generator.random())
        for item in later:
            record(catalogue, user, f"i{item}", 2 + generator.random())
        n_before, n_events = n_before + len(known), n_events + len(known) + len(later)
        if len(later):
            relevant[user] = {f"i{item}" for item in later}
        rankings[user] = random_ranking(generator, int(generator.integers(1, 25)))
    # One user is ranked nothing that is relevant, one nothing at all.
    missed, unranked = sorted(relevant)[:2]
    rankings[missed] = {item: score for item, score in rankings[missed].items() if item not in relevant[missed]}
    rankings[missed] |= {f"i{item}": -1.0 for item in range(1) if f"i{item}" not in relevant[missed]}
    del rankings[unranked]
    # Between two events, so that rounding decides nothing.
    run_no = begin_run(catalogue, "global", share=(n_before - 0.5) / n_events)
    for user, scores in rankings.items():
        rank(catalogue, run_no, user, scores)
    for k in (10, 3):
        measured, expected = user_metrics(catalogue, run_no, k), reference(relevant, rankings, k)
        assert measured.keys() == relevant.keys()
        for user, (n_relevant, values) in measured.items():
            assert n_relevant == len(relevant[user])
            assert values == pytest.approx(expected[user], abs=1e-9), user
        for user in (missed, unranked):
            assert set(measured[user][1].values()) == {0.0}
        assert any(n_relevant > k for n_relevant, _ in measured.values())


def test_user_metric_agrees_with_ir_measures_with_one_relevant_item(catalogue):
    generator = np.random.default_rng(3)
    relevant, rankings = {}, {}
    for number in range(40):
        user, order = f"u{number}", generator.permutation(40)[:4]
        for hour, item in enumerate(order):
            record(catalogue, user, f"i{item}", hour)
        relevant[user] = {f"i{order[-1]}"}
        rankings[user] = random_ranking(generator, 30)
    run_no = begin_run(catalogue, "loo", core=1)
    for user, scores in rankings.items():
        rank(catalogue, run_no, user, scores)
    measured, expected = user_metrics(catalogue, run_no), reference(relevant, rankings, 10)
    assert measured.keys() == relevant.keys()
    for user, (n_relevant, values) in measured.items():
        assert n_relevant == 1
        assert values == pytest.approx(expected[user], abs=1e-9), user
    assert 0 < sum(values["recall"] for _, values in measured.values()) < 40


@pytest.fixture
def three_relevant(catalogue):
    """A run in which user a had i0 and went on to i1, i2 and i3, and user b had i0 and went on to i4."""
    for user, item, hour in [
        ("a", "i0", 0), ("b", "i0", 1), ("a", "i1", 2), ("a", "i2", 3), ("a", "i3", 4), ("b", "i4", 5),
    ]:  # fmt: skip
        record(catalogue, user, item, hour)
    return catalogue, begin_run(catalogue, "global", share=0.3)  # the second of six events is the cut


def test_user_metric_several_relevant_items_by_hand(three_relevant):
    connection, run_no = three_relevant
    rank(connection, run_no, "a", {"i9": 5, "i2": 4, "i8": 3, "i1": 2, "i7": 1, "i3": 0})
    n_relevant, values = user_metrics(connection, run_no, k=5)["a"]
    assert n_relevant == 3
    # Hits at 2 and 4; i3 at 6 is beyond k.
    # DCG = 1/log2(3) + 1/log2(5) = 0.630930 + 0.430677; ideal = 1 + 1/log2(3) + 1/log2(4) = 2.130930
    assert values["ndcg"] == pytest.approx(1.061607 / 2.130930, abs=1e-6)
    assert values["recall"] == pytest.approx(2 / 3)
    assert values["mrr"] == pytest.approx(1 / 2)
    # Precision at the hits: 1/2 and 2/4; over all three relevant items.
    assert values["average_precision"] == pytest.approx((1 / 2 + 2 / 4) / 3)
    # With k = 1 the ideal is one hit at the first place, and there is none.
    assert set(user_metrics(connection, run_no, k=1)["a"][1].values()) == {0.0}


def test_user_metric_decides_ties_against_us(three_relevant):
    connection, run_no = three_relevant
    # i4 is relevant, and of the three equal scores it has the least item_no: still it comes last of them.
    rank(connection, run_no, "b", {"i9": 2, "i4": 1, "i5": 1, "i6": 1, "i7": 0})
    n_relevant, values = user_metrics(connection, run_no)["b"]
    assert n_relevant == 1
    assert values["ndcg"] == pytest.approx(0.430677, abs=1e-6)  # 1 / log2(4 + 1)
    assert values["recall"] == 1
    assert values["mrr"] == values["average_precision"] == pytest.approx(1 / 4)
    assert user_metrics(connection, run_no, k=3)["b"][1]["recall"] == 0


def test_user_metric_where_no_candidate_is_relevant_is_zero(three_relevant):
    connection, run_no = three_relevant
    rank(connection, run_no, "b", {"i9": 2, "i8": 1})
    measured = user_metrics(connection, run_no)
    # a was ranked nothing at all, b nothing relevant; both count.
    assert measured.keys() == {"a", "b"}
    assert set(measured["a"][1].values()) | set(measured["b"][1].values()) == {0.0}


def test_list_metrics_by_hand(connection):
    # Ten items; i0 is known to four users, i1 to two, the others (by u4) to one each.
    for item in range(10):
        connection.execute("select recsql_api.upsert_item(%s, 'x')", (f"i{item}",))
    for user in range(4):
        record(connection, f"u{user}", "i0", 0)
    for item in range(1, 10):
        record(connection, "u4", f"i{item}", item)
    record(connection, "u0", "i1", 1)
    record(connection, "u0", "i2", 2)  # u0's only later event
    run_no = begin_run(connection, "loo", core=1)
    connection.execute("select recsql.refresh_interaction(%s::integer)", (run_no,))
    connection.execute("select recsql.refresh_item_popularity(%s::integer)", (run_no,))
    space_no = connection.execute(
        "select recsql.add_embedding_space('text', 'text', 'by hand', '1', 2, '{title}')"
    ).fetchone()[0]
    for item, vector in {"i1": "[1, 0]", "i3": "[0, 1]", "i4": "[1, 0]"}.items():
        connection.execute(
            "insert into recsql.item_embedding (space_no, item_no, content_hash, embedding) "
            "select %s, item_no, 'x', %s from recsql.item where item_id = %s",
            (space_no, vector, item),
        )
    rank(connection, run_no, "u0", {"i3": 3.0, "i4": 2.0, "i1": 1.0})
    rank(connection, run_no, "u1", {"i1": 2.0})
    rows = connection.execute(
        "select u.user_id, m.novelty, m.popularity_share, m.diversity "
        "from recsql.list_metric(%s::integer, %s, 3) as m inner join recsql.app_user as u using (user_no)",
        (run_no, SOURCE),
    ).fetchall()
    found = {user: values for user, *values in rows}
    # Users with one event have no cut, so u0 and u4 remain, each without the last event: i1 is known to both, i0, i3
    # and i4 to one of the two. Thus -log2 is 0 for i1 and 1 for i3 and i4. The head is two of the ten items: i1, and
    # of those with one user the first, i0.
    # Cosine distances: i3 to i4 1, i3 to i1 1, i4 to i1 0.
    assert found["u0"] == pytest.approx([2 / 3, 1 / 3, 2 / 3])
    assert found["u1"][:2] == pytest.approx([0.0, 1.0])
    assert found["u1"][2] is None
    covered = connection.execute("select recsql.coverage(%s::integer, %s, 2)", (run_no, SOURCE)).fetchone()[0]
    assert covered == pytest.approx(3 / 10)


def test_evaluate_tells_users_without_history_apart(catalogue):
    for number in range(10):
        record(catalogue, f"known{number}", "i1", number)
        record(catalogue, f"known{number}", "i2", 100 + number)
        record(catalogue, f"new{number}", "i3", 200 + number)
    run_no = begin_run(catalogue, "global", share=1 / 3)
    catalogue.execute("select recsql.refresh_interaction(%s::integer)", (run_no,))
    for number in range(10):
        rank(catalogue, run_no, f"known{number}", {"i2": 1.0})
        rank(catalogue, run_no, f"new{number}", {"i2": 1.0})
    evaluate(catalogue, run_no)
    rows = catalogue.execute(
        "select segment, value, n_users from recsql.evaluation where run_no = %s and metric = 'recall' and method = %s",
        (run_no, SOURCE),
    ).fetchall()
    assert sorted(rows) == [("all", 0.5, 20), ("known", 1.0, 10), ("new", 0.0, 10)]


def intervals(connection, run_no):
    rows = connection.execute(
        "select metric, value, lo, hi, n_users from recsql.evaluation where run_no = %s and method = %s",
        (run_no, SOURCE),
    ).fetchall()
    return {metric: tuple(figures) for metric, *figures in rows}


def test_resampled_means_are_the_same_whatever_fits_into_memory(monkeypatch):
    values = np.random.default_rng(0).random((70, 2))
    drawn = np.random.default_rng(1).integers(0, 70, (evaluation.N_RESAMPLES, 70))
    for at_once in (1, 1000, 2**22):
        monkeypatch.setattr(evaluation, "_NUMBERS_AT_ONCE", at_once)
        found = evaluation.resampled_means(values, np.random.default_rng(1))
        assert found == pytest.approx(values[drawn].mean(axis=1), abs=1e-12)


def test_evaluate_writes_the_mean_and_an_interval_that_holds_it(catalogue):
    generator = np.random.default_rng(4)
    for number in range(50):
        for hour, item in enumerate(generator.permutation(40)[:3]):
            record(catalogue, f"u{number}", f"i{item}", hour)
    run_no = begin_run(catalogue, "loo", core=1)
    for number in range(50):
        rank(catalogue, run_no, f"u{number}", random_ranking(generator, 20))
    per_user = [values for _, values in user_metrics(catalogue, run_no).values()]
    evaluate(catalogue, run_no, seed=5)
    first = intervals(catalogue, run_no)
    assert first.keys() == {"ndcg", "recall", "mrr", "map", "novelty", "popularity_share", "coverage"}
    for metric, name in zip(("ndcg", "recall", "mrr", "map"), MEASURES, strict=True):
        value, lo, hi, n_users = first[metric]
        assert value == pytest.approx(np.mean([values[name] for values in per_user]), abs=1e-12)
        assert lo < value < hi
        assert n_users == 50
    # Recall@10 is a proportion p of 50 users: the interval is about p ± 1.96 sqrt(p (1 - p) / 50).
    value, lo, hi, _ = first["recall"]
    assert (hi - lo) / 2 == pytest.approx(1.96 * np.sqrt(value * (1 - value) / 50), rel=0.25)
    evaluate(catalogue, run_no, seed=5)
    assert intervals(catalogue, run_no) == first
    evaluate(catalogue, run_no, seed=6)
    again = intervals(catalogue, run_no)
    assert again != first
    assert {metric: figures[0] for metric, figures in again.items()} == {
        metric: figures[0] for metric, figures in first.items()
    }


@pytest.mark.parametrize("measure", ["user_metric", "list_metric", "popularity_metric", "coverage", "item_exposure"])
def test_method_that_there_is_not_is_refused(three_relevant, measure):
    connection, run_no = three_relevant
    for method in ("fused", "rrf", SOURCE, 'fused {"diversity": 0.3}'):
        connection.execute(f"select * from recsql.{measure}(%s::integer, %s)", (run_no, method))
    with pytest.raises(psycopg.Error, match="there is no method nonesuch"):
        connection.execute(f"select * from recsql.{measure}(%s::integer, 'nonesuch')", (run_no,))
