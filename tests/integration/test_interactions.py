"""What a run knows of a user and an item: several kinds, repeats, dislikes, weights that fade at different rates."""

import numpy as np
import pytest

from workers import interactions as interactions_module
from workers.interactions import read_run

DAY_0 = "timestamptz '2024-01-01 00:00:00+00'"


def record(connection, *events):
    """Record events: (user, item, kind, day)."""
    for user, item, kind, day in events:
        connection.execute("select recsql_api.upsert_item(%s, p_domain => 'films')", (item,))
        connection.execute(
            f"select recsql_api.record_event(%s, %s, %s, p_at => {DAY_0} + %s * interval '1 day')",
            (user, item, kind, day),
        )


def interactions(connection):
    """Step, weight and number of events by user and item, as a new run sees them."""
    run_no = begin_run(connection)
    rows = connection.execute(
        "select u.user_id, i.item_id, n.step, n.weight, n.n_events from recsql.interaction as n "
        "inner join recsql.app_user as u using (user_no) inner join recsql.item as i using (item_no) "
        "where n.run_no = %s",
        (run_no,),
    ).fetchall()
    return {row[:2]: (row[2], pytest.approx(row[3], abs=1e-6), row[4]) for row in rows}


def begin_run(connection):
    run_no = connection.execute("select recsql.begin_run(null, 'test', '{}')").fetchone()[0]
    connection.execute("select recsql.refresh_interaction(%s::integer)", (run_no,))
    connection.execute("select recsql.refresh_item_popularity(%s::integer)", (run_no,))
    return run_no


# view: weight 0.3, half-life 90 days; like: 1, never fades; dislike: -1, never fades.


def test_interaction_sums_kinds_and_repeats(connection):
    record(
        connection,
        *(("a", "x", "view", n / 100) for n in range(3)),
        ("a", "y", "like", 1),
        ("a", "x", "like", 2),
        ("a", "z", "dislike", 3),
        ("b", "x", "view", 3),
    )
    found = interactions(connection)
    # On day 3 almost nothing has faded: 3 views of x are 3 × 0.3 × 2^(-3/90) and a little; x is one step however often.
    views = sum(0.3 * 0.5 ** ((3 - n / 100) / 90) for n in range(3))
    assert found == {
        ("a", "x"): (0, views + 1, 4),
        ("a", "y"): (1, 1, 1),
        ("a", "z"): (None, -1, 1),
        ("b", "x"): (0, 0.3, 1),
    }


def test_interaction_stays_in_the_sequence_as_time_passes(connection):
    # On day 0, a's newest with x, 4 × 0.3 - 1 = 0.2 speaks for it.
    record(connection, *(("a", "x", "view", -n / 1440) for n in range(1, 5)), ("a", "x", "dislike", 0))
    assert interactions(connection)["a", "x"][0] == 0
    # Ninety days on, which only b's event tells, the views are worth half, and of them a sixth (0.2 of 1.2) still
    # outweighs the dislike: 0.1, though 0.6 - 1 is below 0.
    record(connection, ("b", "y", "view", 90))
    step, weight, _ = interactions(connection)["a", "x"]
    assert (step, weight) == (0, pytest.approx(0.1, abs=1e-4))
    # Another view of a's own judges anew: 4 × 0.15 + 0.3 - 1 = -0.1.
    record(connection, ("a", "x", "view", 90))
    step, weight, n_events = interactions(connection)["a", "x"]
    assert (step, weight, n_events) == (None, pytest.approx(-0.1, abs=1e-4), 6)


def test_interaction_stays_out_of_the_sequence_as_time_passes(connection):
    connection.execute("update recsql.event_kind set half_life = interval '10 days' where kind = 'dislike'")
    # 1 - 2 = -1 on day 0; twenty days on the dislikes are worth a quarter, of which half outweighs the like.
    record(connection, ("a", "x", "dislike", -0.001), ("a", "x", "dislike", -0.002), ("a", "x", "like", 0))
    record(connection, ("b", "y", "like", 20))
    assert interactions(connection)["a", "x"] == (None, pytest.approx(-0.25, abs=1e-4), 3)


def test_weights_are_above_zero_in_the_sequence_and_nowhere_else(connection):
    """Whatever was done when: models divide by sums of them."""
    dice = np.random.default_rng(0)
    rows = (
        dice.choice(["view", "click", "like", "dislike"], 1500),
        dice.integers(0, 10, (1500, 2)),
        dice.uniform(0, 900, 1500),
    )
    record(connection, *((f"u{u}", f"i{i}", str(kind), float(day)) for kind, (u, i), day in zip(*rows, strict=True)))
    found = interactions(connection).values()
    assert {step is not None for step, _, _ in found} == {True, False}
    assert all((weight.expected > 0) == (step is not None) for step, weight, _ in found)


def test_interaction_of_events_of_very_long_ago_is_next_to_nothing(connection):
    connection.execute("update recsql.event_kind set half_life = interval '1 day' where kind = 'view'")
    record(connection, ("a", "x", "view", 0), ("b", "y", "view", 1000))
    # 2^-1000 would be no number, so it is 2^-60; it is in the sequence, since nothing has spoken against it.
    assert interactions(connection)["a", "x"] == (0, 0, 1)


def similarities(connection):
    """All that the methods make of a new run, by method."""
    run_no = begin_run(connection)
    for method in ("sequential", "cosine", "jaccard", "conditional", "llr"):
        connection.execute(f"select recsql.refresh_similarity_{method}(%s::integer)", (run_no,))
    rows = connection.execute(
        "select to_jsonb(s) - 'run_no' from recsql.item_similarity as s where s.run_no = %s", (run_no,)
    ).fetchall()
    return sorted(str(row) for (row,) in rows)


def test_similarity_takes_no_notice_of_dislikes_and_kinds_without_weight(connection):
    connection.execute(
        "insert into recsql.event_kind (kind, weight, is_feedback, description) values ('skip', 0, true, 'passed over')"
    )
    # Three users who had x, y and z in this order, one day each.
    record(connection, *((user, item, "like", day) for user in "abc" for day, item in enumerate("xyz")))
    before = similarities(connection)
    assert before
    # d and e had x alone; a, b and c passed over w; nobody liked w, and what d thinks of y is not liking it.
    record(connection, ("d", "x", "like", 3), ("e", "x", "like", 3))
    only_x = similarities(connection)
    assert only_x != before
    record(
        connection,
        ("d", "y", "dislike", 4),
        ("e", "y", "skip", 4),
        ("d", "w", "dislike", 5),
        *((user, "w", "skip", 5) for user in "abc"),
        # As much for it as against it is no liking either.
        ("e", "z", "like", 6),
        ("e", "z", "dislike", 7),
    )
    assert similarities(connection) == only_x


def test_similarity_takes_no_notice_of_how_often_an_item_was_had(connection):
    record(connection, ("a", "x", "like", 0), ("a", "y", "like", 1), ("b", "x", "like", 0), ("b", "y", "like", 1))
    once = similarities(connection)
    # a turns to y once more: y was a's newest item before and still is. Cosine alone weighs it, by the events' weights.
    record(connection, ("a", "y", "like", 2))
    twice = similarities(connection)
    by_method = [{row for row in rows if "'source_no': 3," not in row} for rows in (once, twice)]
    assert by_method[0] == by_method[1]
    assert once != twice


def test_models_read_kinds_times_and_what_was_turned_down(connection):
    record(
        connection,
        ("a", "x", "dislike", 0),
        ("a", "y", "view", 1),
        ("a", "y", "like", 2),
        ("a", "z", "dislike", 3),
        ("a", "w", "view", 4),
        ("b", "z", "dislike", 0),
    )
    kinds = dict(connection.execute("select kind, kind_no from recsql.event_kind").fetchall())
    data = read_run(connection, begin_run(connection))
    ids = dict(connection.execute("select item_no, item_id from recsql.item").fetchall())
    names = [ids[number] for number in data.item_nos]
    sequences = data.sequences
    # Of y the like is the stronger; b, who only turned something down, has no sequence.
    assert [names[item] for item in sequences.items] == ["y", "w"]
    assert sequences.offsets.tolist() == [0, 2]
    assert sequences.kinds.tolist() == [kinds["like"], kinds["view"]]
    assert np.diff(sequences.times).tolist() == [2 * 86400]
    # When x was turned down a had done nothing yet, so no state knows of it; z was after y, with weight 1.
    assert [names[item] for item in sequences.dislikes.items] == ["z"]
    assert sequences.dislikes.places.tolist() == [0]
    assert sequences.dislikes.weights.tolist() == [1]


@pytest.mark.parametrize("n_at_once", [1, 2, 1000])
def test_histories_are_the_oldest_first_whichever_users_are_read_together(connection, monkeypatch, n_at_once):
    monkeypatch.setattr(interactions_module, "_USERS_AT_ONCE", n_at_once)
    record(
        connection,
        ("c", "y", "like", 3),
        ("a", "x", "like", 2),
        ("a", "y", "like", 1),
        ("b", "z", "dislike", 1),
        ("c", "x", "like", 5),
        ("c", "z", "like", 4),
    )
    data = read_run(connection, begin_run(connection))
    items = dict(connection.execute("select item_no, item_id from recsql.item").fetchall())
    users = dict(connection.execute("select user_no, user_id from recsql.app_user").fetchall())
    found = {
        users[number]: [items[data.item_nos[item]] for item in data.sequences.of(row)]
        for row, number in enumerate(data.user_nos)
    }
    assert found == {"a": ["y", "x"], "c": ["y", "z", "x"]}
    assert data.user_nos.tolist() == sorted(data.user_nos)
    # Of c, who came first: days 3, 4 and 5.
    assert np.diff(data.sequences.times[:3]).tolist() == [86400, 86400]
