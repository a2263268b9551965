"""Bandits in the database: SQL scores as Python does, and each impression counts once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from time import sleep
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest

from recsql.db import connect
from recsql.errors import InputError, NotFoundError
from workers.bandits import update
from workers.bandits.base import BanditConfig
from workers.bandits.features import Projection, discount, freshness, standing
from workers.bandits.posterior import Posterior, Statistics
from workers.bandits.registry import make_bandit
from workers.bandits.store import Stored, add_bandit, lock_bandit, read_items, reset_bandit
from workers.bandits.thompson import Ensemble, Thompson
from workers.bandits.update import update_bandit, update_bandits
from workers.embed import embed
from workers.ope.logs import Pools, SlateLog
from workers.ope.targets import target_of
from workers.spaces import add_space

Connection = psycopg.Connection[Any]

WORDS = ("robot", "garden", "ship", "love", "war", "music")
N_ITEMS = 24
CONFIG = BanditConfig(content_dims=3, settle_seconds=60, n_draws=4)


@pytest.fixture(scope="module")
def films(server: Any, template: str) -> Iterator[str]:
    """Name of a database with films that have vectors, a user who likes two of them, and one film without a vector."""
    with server.clone(template, prefix="recsql_bandits") as name:
        with connect(server.url(name)) as connection:
            for n in range(N_ITEMS):
                title = f"{WORDS[n % 6]} {WORDS[n // 6]} {WORDS[(n * n) % 5]}"
                connection.execute("select recsql_api.upsert_item(%s, %s)", (f"i{n}", title))
            add_space(connection, "text", "text", "hashing:32", "{title}")
            embed(connection)
            connection.execute("select recsql_api.upsert_item('bare', null)")
            connection.execute("update recsql.item set created_at = now() - item_no * interval '5 days'")
            for n, item in enumerate(("i1", "i8", "i3")):
                connection.execute(
                    "select recsql_api.record_event('ann', %s, 'like', p_at => now() - %s * interval '1 day')",
                    (item, n + 1),
                )
            connection.execute("insert into recsql.app_user (user_id) values ('ben')")
        yield name


@pytest.fixture
def database(server: Any, films: str) -> Iterator[str]:
    """URL of a copy of it."""
    with server.clone(films) as name:
        yield server.url(name)


def show(connection: Connection, items: list[str], user: str = "ann", minutes: int = 10, **scores: float) -> UUID:
    """Log a request of so many minutes ago that shows items, and has those of ``scores`` in its pool besides."""
    request = uuid4()
    nos = dict(connection.execute("select item_id, item_no from recsql.item").fetchall())
    pool = {item: 1.0 / place for place, item in enumerate(items, 1)} | scores
    asked = {
        "id": request,
        "user": connection.execute("select user_no from recsql.app_user where user_id = %s", (user,)).fetchone()[0],  # type: ignore[index]
        "nos": [nos[item] for item in pool],
        "scores": list(pool.values()),
        "shown": [nos[item] for item in items],
        "ago": minutes,
    }
    connection.execute(
        "insert into recsql.request (request_id, user_no, slot, policy, explore, pool_nos, pool_scores, at) values "
        "(%(id)s, %(user)s, 'default', 'fused', 0.1, %(nos)s, %(scores)s, now() - %(ago)s * interval '1 minute')",
        asked,
    )
    connection.execute(
        "insert into recsql.impression (request_id, position, user_no, item_no, policy, propensity, conditional, at) "
        "select %(id)s, s.position, %(user)s, s.item_no, 'fused', 0.5, 0.5, now() - %(ago)s * interval '1 minute' "
        "from unnest(%(shown)s::integer[]) with ordinality as s (item_no, position)",
        asked,
    )
    return request


def click(connection: Connection, request: UUID, item: str, kind: str = "click", user: str = "ann") -> None:
    connection.execute(
        "select recsql_api.record_event(%s, %s, %s, p_request_id => %s, p_at => "
        "(select i.at + interval '1 second' from recsql.impression as i where i.request_id = %s limit 1))",
        (user, item, kind, request, request),
    )


def sums(connection: Connection, policy: str = "b") -> tuple[Any, ...]:
    """What a bandit has learnt."""
    with connection.transaction():
        stored = lock_bandit(connection, policy)
        items = read_items(connection, stored.ranking_policy_no, None, len(stored.statistics.moment))
    kept = stored.statistics
    return (stored.n_outcomes, kept.gram, kept.moment, kept.square, items.weights, items.totals, items.features)


def assert_same(first: tuple[Any, ...], second: tuple[Any, ...]) -> None:
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def feed(connection: Connection, n: int = 12) -> None:
    """Requests of which some items are clicked on and others bought."""
    for k in range(n):
        items = [f"i{(3 * k + j) % N_ITEMS}" for j in range(4)]
        request = show(connection, items, user=("ann", "ben")[k % 2], bare=0.3)
        if k % 3 == 0:
            click(connection, request, items[1], user=("ann", "ben")[k % 2])
        if k % 4 == 0:
            click(connection, request, items[2], "purchase", user=("ann", "ben")[k % 2])


def twin(connection: Connection, policy: str, item_nos: list[int], scores: list[float]) -> tuple[Any, ...]:
    """What Python makes of a pool for ann: its posterior, features and the draws, from the tables alone."""
    with connection.transaction():
        stored = lock_bandit(connection, policy)
    stored.statistics.items = read_items(connection, stored.ranking_policy_no, None, len(stored.statistics.moment))
    center, directions, draws, noise = connection.execute(
        "select center::real[], array(select d::real[] from unnest(projection) as d), "
        "array(select d::real[] from unnest(draws) as d), noise from recsql.bandit where ranking_policy_no = %s",
        (stored.ranking_policy_no,),
    ).fetchone()  # type: ignore[misc]
    projection = Projection(np.array(center, dtype=np.float64), np.array(directions, dtype=np.float64))
    vectors = dict(connection.execute("select item_no, embedding::real[] from recsql.item_embedding").fetchall())
    nothing = np.full(32, np.nan)
    ages = dict(
        connection.execute(
            "select item_no, extract(epoch from now() - created_at)::float8 / 86400 from recsql.item"
        ).fetchall()
    )
    liked = connection.execute(
        "select item_no from recsql.event where user_no = (select user_no from recsql.app_user where user_id = 'ann') "
        "order by at desc, event_no desc limit 20"
    ).fetchall()
    taste = projection.taste(np.array([vectors.get(item, nothing) for (item,) in liked], dtype=np.float64))
    features = projection.features(
        standing(np.array(scores))[: len(item_nos)],
        freshness(np.array([ages[item] for item in item_nos])),
        np.array([vectors.get(item, nothing) for item in item_nos], dtype=np.float64),
        taste,
    )
    posterior = stored.statistics.solve(stored.config.ridge)
    return stored, posterior, features, Ensemble(np.array(draws, dtype=np.float64), np.array(noise))


@pytest.mark.parametrize("kind", ["linucb", "thompson", "greedy"])
def test_sql_scores_as_python_does(connection: Connection, kind: str) -> None:
    policy_no = add_bandit(connection, "b", CONFIG.model_copy(update={"bandit": kind}))
    feed(connection)
    assert update_bandit(connection, "b", batch=5).n_read == 48
    rows = connection.execute("select item_no from recsql.item order by item_no").fetchall()
    (ann,) = connection.execute("select user_no from recsql.app_user where user_id = 'ann'").fetchone()  # type: ignore[misc]
    item_nos = [row[0] for row in rows]
    scores = [float((7 * n) % 11) for n in [*item_nos, 0]]
    stored, posterior, features, drawn = twin(connection, "b", item_nos, scores)
    bandit = make_bandit(stored.config)
    what = (
        "s.draw, s.item_no, s.score from recsql.bandit_draw_score"
        if kind == "thompson"
        else ("1, s.item_no, s.score from recsql.bandit_score")
    )
    found = connection.execute(
        f"select {what}(%s, %s, %s::integer[], %s::float8[]) as s order by 1, 2".encode(),
        (policy_no, ann, [*item_nos, 999_999], scores),
    ).fetchall()
    if isinstance(bandit, Thompson):
        expected = bandit.draw_scores(posterior, drawn, features, np.array(item_nos))
    else:
        expected = bandit.scores(posterior, features, np.array(item_nos), np.random.default_rng(0))[None, :]
    assert [row[1] for row in found] == item_nos * len(expected)
    np.testing.assert_allclose(np.array([row[2] for row in found]).reshape(expected.shape), expected, atol=1e-6)
    assert np.ptp(expected) > 0.01


def test_thompson_sampling_shows_with_the_propensities_that_it_says(connection: Connection) -> None:
    policy_no = add_bandit(connection, "b", CONFIG.model_copy(update={"bandit": "thompson"}))
    feed(connection)
    update_bandit(connection, "b")
    pool, scores, n_draws = [3, 9, 5, 1, 7, 12], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0], 4
    rows = connection.execute(
        "select score from recsql.bandit_draw_score(%s, 1, %s::integer[], %s::float8[]) order by draw, place",
        (policy_no, pool, scores),
    ).fetchall()
    drawn = np.array(rows).reshape(n_draws, len(pool))
    firsts = np.zeros(len(pool))
    for explore in (0.0, 0.4):
        for number in range(20):
            found = connection.execute(
                "select item_no, propensity, conditional from recsql.bandit_explored("
                "%s, 1, %s::integer[], %s::float8[], %s, 3, %s) order by place",
                (policy_no, pool, scores, UUID(int=number), explore),
            ).fetchall()
            places = np.array([pool.index(row[0]) for row in found])
            pools = Pools(np.arange(len(pool))[None], np.array([scores]), places[None])
            log = SlateLog(np.zeros((1, 3)), np.ones((1, 3)))
            target = target_of(log, pools, drawn[:, None], explore, has_model=False)
            assert target.conditionals is not None
            np.testing.assert_allclose([row[1] for row in found], target.propensities[0], atol=1e-12)
            np.testing.assert_allclose([row[2] for row in found], target.conditionals[0], atol=1e-12)
            firsts[places[0]] += explore == 0
    # Of four draws each is used sometimes.
    assert set(np.flatnonzero(firsts)) <= set(np.argmax(drawn, axis=1))
    assert len(np.flatnonzero(firsts)) == len(set(np.argmax(drawn, axis=1)))


def test_features_are_what_they_are_said_to_be(connection: Connection) -> None:
    policy_no = add_bandit(connection, "b", CONFIG)
    (found,) = connection.execute(
        "select f.features::real[] from recsql.bandit_feature(%s, null, now(), "
        "array[(select item_no from recsql.item where item_id = 'bare')], array[1.5]) as f",
        (policy_no,),
    ).fetchone()  # type: ignore[misc]
    # Item 25 came 125 days ago: 0.5 ^ (125 / 30) = 0.0557. It has no vector, and nobody's taste is known.
    assert found == pytest.approx([1, 1, 1.5, 0.0557, 0, 0, 0, 0, 0, 0, 0], abs=1e-4)
    request = show(connection, ["i2", "i4"])
    update_bandit(connection, "b")
    features = connection.execute(
        "select features from recsql.bandit_impression where request_id = %s order by position", (request,)
    ).fetchall()
    # Scores 1 and 1/2: one deviation above their mean, and one below. Position 2: 1 / log2(3) = 0.6309.
    assert features[0][0][:3] == pytest.approx([1, 1, 1], abs=1e-6)
    assert features[1][0][:3] == pytest.approx([1, 0.6309, -1], abs=1e-4)


def test_taste_is_that_of_the_time_of_the_impression(connection: Connection) -> None:
    add_bandit(connection, "b", CONFIG)
    show(connection, ["i5"], user="ben")
    connection.execute("select recsql_api.record_event('ben', 'i5', 'like')")
    update_bandit(connection, "b")
    (features,) = connection.execute("select features from recsql.bandit_impression").fetchone()  # type: ignore[misc]
    assert (features[4], features[8:]) == (0, [0, 0, 0])


def test_each_impression_counts_once_however_it_is_read(connection: Connection) -> None:
    for policy in ("b", "whole"):
        add_bandit(connection, policy, CONFIG)
    feed(connection, 5)
    assert update_bandit(connection, "b", batch=2).n_read == 20
    feed(connection, 4)
    assert update_bandit(connection, "b").n_read == 16
    before = sums(connection)
    again = update_bandit(connection, "b")
    assert (again.n_read, again.n_corrected, dict(again.skipped)) == (0, 0, {})
    assert_same(sums(connection), before)
    assert update_bandit(connection, "whole").n_read == 36
    assert_same(sums(connection, "whole"), before)
    # 9 requests of 4; of the first five, k = 0 and 3 were clicked on (1) and 0 and 4 bought (5), of the others 0 and 3,
    # and 0: 2 + 10 + 2 + 5 = 19.
    assert before[4].sum() == pytest.approx(36)
    assert before[5].sum() == pytest.approx(19)


def test_two_at_once_count_nothing_twice(connection: Connection, database: str) -> None:
    add_bandit(connection, "b", CONFIG)
    feed(connection)
    read: list[int] = []

    def work() -> None:
        with connect(database) as other:
            read.append(update_bandit(other, "b", batch=2).n_read)

    threads = [Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(read) == 48
    assert sums(connection)[0] == 48
    assert sums(connection)[4].sum() == pytest.approx(48)


def test_update_that_is_killed_leaves_nothing_half_done(connection: Connection, database: str) -> None:
    add_bandit(connection, "b", CONFIG)
    feed(connection)
    killer = (
        "create function public.kill() returns trigger language plpgsql as "
        "$$ begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$; "
        "create trigger kill after update on recsql.bandit "
        "for each row when (new.n_outcomes >= 24) execute function kill()"
    )
    connection.execute(killer.encode())
    with pytest.raises(Exception, match="terminat"), connect(database) as other:
        update_bandit(other, "b", batch=3)
    connection.execute("drop trigger kill on recsql.bandit")
    assert sums(connection)[0] == 12
    assert update_bandit(connection, "b").n_read == 36
    assert sums(connection)[4].sum() == pytest.approx(48)


def wait_for_lock(connection: Connection) -> None:
    """Until somebody waits for what the connection holds."""
    for _ in range(500):
        if connection.execute("select 1 from pg_locks where not granted").fetchone():
            return
        sleep(0.02)
    raise AssertionError("nobody waits")


def test_updater_that_waits_for_a_reset_reads_everything_anew(connection: Connection, database: str) -> None:
    add_bandit(connection, "b", CONFIG)
    feed(connection)
    update_bandit(connection, "b")
    before = sums(connection)
    with ThreadPoolExecutor(1) as pool, connect(database) as other:
        with connection.transaction():
            reset_bandit(connection, "b")
            waiting = pool.submit(update_bandit, other, "b")
            wait_for_lock(connection)
        assert waiting.result().n_read == 48
    assert_same(sums(connection), before)


def test_bandit_that_is_dropped_does_not_keep_others_from_learning(connection: Connection, database: str) -> None:
    for policy in ("a", "b"):
        add_bandit(connection, policy, CONFIG)
    feed(connection)
    with ThreadPoolExecutor(1) as pool, connect(database) as other:
        with connection.transaction():
            connection.execute("delete from recsql.ranking_policy where policy = 'a'")
            waiting = pool.submit(update_bandits, other)
            wait_for_lock(connection)
        assert [(done.policy, done.n_read) for done in waiting.result()] == [("b", 48)]


def test_reset_during_an_update_loses_nothing(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    add_bandit(connection, "b", CONFIG)
    for days in range(30, 24, -1):
        show(connection, ["i1", "i2"], minutes=days * 24 * 60)
    locks: list[str] = []

    def lock(connection: Connection, policy: str) -> Stored:
        locks.append(policy)
        if len(locks) == 4:
            reset_bandit(connection, policy)
        return lock_bandit(connection, policy)

    monkeypatch.setattr(update, "lock_bandit", lock)
    update_bandit(connection, "b", batch=1)
    assert sums(connection)[0] == 12
    assert sums(connection)[4].sum() == pytest.approx(12)


def test_request_of_several_times_hides_none_in_between(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "LISTED", 2)
    add_bandit(connection, "b", CONFIG)
    first = show(connection, ["i1", "i2"], minutes=30 * 24 * 60)
    connection.execute(
        "update recsql.impression set at = at + interval '10 days' where request_id = %s and position = 2", (first,)
    )
    show(connection, ["i3"], minutes=25 * 24 * 60)
    show(connection, ["i4"], minutes=22 * 24 * 60)
    assert update_bandit(connection, "b", batch=1).n_read == 4
    assert sums(connection)[4].sum() == pytest.approx(4)


def test_what_comes_late_is_read_by_the_next_sweep(connection: Connection) -> None:
    add_bandit(connection, "b", CONFIG)
    old = show(connection, ["i1", "i2"], minutes=3 * 24 * 60)
    assert update_bandit(connection, "b").n_read == 2
    # An event is new whatever it is an outcome of; an impression of an hour ago is not looked for.
    click(connection, old, "i2")
    show(connection, ["i3"], minutes=60)
    done = update_bandit(connection, "b")
    assert (done.n_read, done.n_corrected) == (0, 1)
    # Nor is an event whose number is one of long ago: as of a load that was at work when all was looked at.
    click(connection, old, "i1")
    connection.execute("update recsql.bandit set swept_event_no = 1000000000")
    assert update_bandit(connection, "b").n_corrected == 0
    connection.execute("update recsql.bandit set swept_at = swept_at - interval '1 hour'")
    done = update_bandit(connection, "b")
    assert (done.n_read, done.n_corrected) == (1, 1)
    assert sums(connection)[5].sum() == pytest.approx(2)


def test_late_outcomes_are_put_right_while_they_may_come(connection: Connection) -> None:
    for policy in ("b", "later"):
        add_bandit(connection, policy, CONFIG)
    request = show(connection, ["i1", "i2"])
    new = show(connection, ["i1"], user="ben", minutes=0)
    # The second is not a minute old, so nobody knows yet whether something comes of it.
    assert update_bandit(connection, "b").n_read == 2
    click(connection, request, "i2")
    click(connection, new, "i1", user="ben")
    done = update_bandit(connection, "b")
    assert (done.n_read, done.n_corrected) == (1, 1)
    click(connection, request, "i2", "purchase")
    assert update_bandit(connection, "b").n_corrected == 1
    assert update_bandit(connection, "b").n_corrected == 0
    update_bandit(connection, "later")
    assert_same(sums(connection), sums(connection, "later"))
    # 1 + 5 for item 2, 1 for the other impression.
    assert sums(connection)[5].sum() == pytest.approx(7)


def test_impressions_are_forgotten_once_nothing_can_come_of_them(connection: Connection) -> None:
    add_bandit(connection, "b", CONFIG)
    show(connection, ["i1", "i2"], minutes=60 * 24 * 30)
    show(connection, ["i3"])
    assert update_bandit(connection, "b", batch=1).n_read == 3
    # Kinds of event may come for 7 days: those of 30 days ago are done with.
    assert connection.execute("select count(*) from recsql.bandit_impression").fetchone() == (1,)
    before = sums(connection)
    assert update_bandit(connection, "b").n_read == 0
    assert_same(sums(connection), before)


def test_rows_that_cannot_be_used_are_skipped_with_the_reason(connection: Connection) -> None:
    add_bandit(connection, "b", CONFIG)
    request = show(connection, ["i1", "i2", "i3"])
    connection.execute(
        "update recsql.impression set propensity = null where request_id = %s and position = 1", (request,)
    )
    connection.execute(
        "update recsql.impression set item_no = 999999 where request_id = %s and position = 2", (request,)
    )
    done = update_bandit(connection, "b")
    assert done.n_read == 1
    assert dict(done.skipped) == {"its propensity is not known": 1, "its item is not there any more": 1}
    assert update_bandit(connection, "b").skipped.total() == 0


def test_all_zero_rewards_give_scores_of_nothing(connection: Connection) -> None:
    policy_no = add_bandit(connection, "b", CONFIG.model_copy(update={"bandit": "linucb"}))
    for k in range(10):
        show(connection, [f"i{k}", f"i{k + 1}"])
    update_bandit(connection, "b")
    found = connection.execute(
        "select s.score from recsql.bandit_score(%s, 1, array[1, 2, 20], array[3, 2, 1]) as s", (policy_no,)
    ).fetchall()
    assert all(0 <= score < 0.2 for (score,) in found)
    # What was shown in vain is less attractive than what nobody has tried.
    scores = dict(
        connection.execute(
            "select s.item_no, s.score from recsql.bandit_score(%s, null, array[2, 20], array[1, 1]) as s", (policy_no,)
        ).fetchall()
    )
    assert scores[20] > scores[2]


def test_what_is_old_counts_less(connection: Connection) -> None:
    add_bandit(connection, "b", CONFIG.model_copy(update={"half_life_days": 1.0}))
    click(connection, show(connection, ["i1"], minutes=2 * 24 * 60), "i1")
    show(connection, ["i2"], minutes=24 * 60)
    update_bandit(connection, "b")
    _, _, _, _, weights, totals, _ = sums(connection)
    # Two days and one: 1/4 and 1/2, a reward of 1 at the first.
    assert weights == pytest.approx([0.25, 0.5], abs=1e-3)
    assert totals == pytest.approx([0.25, 0], abs=1e-3)
    # As if another day went by.
    connection.execute("update recsql.bandit set faded_at = faded_at - interval '1 day'")
    show(connection, ["i2"])
    update_bandit(connection, "b")
    assert sums(connection)[4] == pytest.approx([0.125, 0.25 + 1], abs=0.01)


def test_logged_requests_are_scored_as_of_then(connection: Connection) -> None:
    policy_no = add_bandit(connection, "b", CONFIG.model_copy(update={"bandit": "thompson"}))
    feed(connection, 4)
    update_bandit(connection, "b")
    request = show(connection, ["i1", "i2"], i7=0.2)
    found = connection.execute(
        "select draw, count(*), count(distinct item_no) from recsql.bandit_request_score(%s, %s) "
        "group by draw order by draw",
        (policy_no, [request]),
    ).fetchall()
    assert found == [(draw, 3, 3) for draw in range(1, 5)]


def test_bandit_starts_anew_in_the_space_of_today(connection: Connection) -> None:
    add_bandit(connection, "b", CONFIG)
    feed(connection, 3)
    update_bandit(connection, "b")
    before = sums(connection)
    reset_bandit(connection, "b")
    assert sums(connection)[0] == 0
    update_bandits(connection)
    assert_same(sums(connection), before)


def test_what_cannot_be_made_says_why(connection: Connection, server: Any, template: str) -> None:
    add_bandit(connection, "b", CONFIG)
    with pytest.raises(InputError, match="ranking policy 'b' already"):
        add_bandit(connection, "b", CONFIG)
    connection.execute(
        "insert into recsql.fusion_policy (policy, kind, weights) values ('mixed', 'rrf', '{\"ease\": 1}')"
    )
    for taken in ("mixed", "no release"):
        with pytest.raises(InputError, match=f"'{taken}' is what requests without a ranking policy"):
            add_bandit(connection, taken, CONFIG)
    with pytest.raises(NotFoundError, match="no bandit 'c'"):
        update_bandit(connection, "c")
    with pytest.raises(psycopg.Error, match="ranking policy 99 is no bandit"):
        connection.execute("select recsql.bandit_score(99, 1, array[1], array[1])")
    with (
        server.clone(template) as name,
        connect(server.url(name)) as empty,
        pytest.raises(InputError, match="no content space"),
    ):
        add_bandit(empty, "b", CONFIG)


def test_posterior_of_the_database_is_that_of_its_impressions(connection: Connection) -> None:
    add_bandit(connection, "b", CONFIG)
    feed(connection)
    update_bandit(connection, "b", batch=3)
    rows = connection.execute(
        "select item_no, features, reward from recsql.bandit_impression order by request_id, position"
    ).fetchall()
    items, features, rewards = (np.array(column) for column in zip(*rows, strict=True))
    statistics = Statistics.none(features.shape[1], CONFIG.shrinkage)
    statistics.add(items, features, rewards)
    expected: Posterior = statistics.solve(CONFIG.ridge)
    found = connection.execute("select theta::real[], scale from recsql.bandit").fetchone()
    assert found is not None
    np.testing.assert_allclose(found[0], expected.theta, atol=1e-6)
    assert found[1] == pytest.approx(expected.scale)
    assert discount(np.array([1, 3])) == pytest.approx([1, 0.5])
