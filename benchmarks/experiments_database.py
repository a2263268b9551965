"""Part of ``benchmarks.experiments`` that sends simulated users through ``recommend()`` and ``record_event()``."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import numpy as np
import psycopg

from benchmarks.data import fresh_database
from benchmarks.experiment_statistics import Arm, compare
from recsql import db

N_USERS, N_ITEMS = 250, 60
PLANNED = 300
REWARDS = {"click": 1.0, "purchase": 5.0}
WEIGHTS = {"click": 0.5, "purchase": 1.5, "like": 1.0}
"""Of kinds of events as the covariate counts them; both are those of a fresh database."""

Bar = Callable[[int, int, str], None]


def measure_database(n_experiments: int, seed: int, bar: Bar) -> dict[str, float]:
    """A/A experiments, one a slot, all running at once; each user asks now and then in each of them.

    What comes of whom is noted here as well, and who is in which variant is worked out by the hash, not asked for.
    """
    rng = np.random.default_rng([seed, 2])
    with fresh_database(db.database_url()) as url, db.connect(url) as connection:
        salts = _prepare(connection, n_experiments)
        noted: list[list[tuple[bool, float, float]]] = [[] for _ in salts]
        for nth in range(N_USERS):
            activity = rng.gamma(0.5, 2.0)
            user, weight = f"u{nth}", 0.0
            for _ in range(rng.poisson(2 * activity)):
                _record(connection, user, f"i{rng.integers(N_ITEMS)}", "like")
                weight += WEIGHTS["like"]
            for slot, salt in salts.items():
                covariate, reward = weight, 0.0
                for _ in range(1 + rng.poisson(activity)):
                    item, request = _shown(connection, user, slot)
                    for kind, chance in (("click", 0.3), ("purchase", 0.03)):
                        if rng.random() < chance:
                            _record(connection, user, item, kind, request)
                            reward += REWARDS[kind]
                            weight += WEIGHTS[kind]
                noted[int(slot)].append((_is_variant(salt, user), reward, covariate))
            bar(nth + 1, N_USERS, "")
        errors, n_found = [], 0
        for slot, users in enumerate(noted):
            error, is_found = _compared(connection, f"experiment {slot}", users)
            errors.append(error)
            n_found += is_found
    return {"experiments": float(n_experiments), "users": float(N_USERS), "largest_error": max(errors),
            "verdicts": float(n_found)}  # fmt: skip


def _prepare(connection: psycopg.Connection[Any], n: int) -> dict[str, str]:
    """Items, slots and running experiments; the salt of each slot's."""
    connection.execute(
        "select recsql_api.upsert_item('i' || n, 'Item ' || n) from generate_series(0, %s::integer - 1) as n",
        (N_ITEMS,),
    )
    connection.execute("select recsql.begin_run(null, 'x', '{}')")
    connection.execute("update recsql.run set state = 'complete'")
    salts = {}
    for slot in map(str, range(n)):
        connection.execute(
            "select recsql.publish((select max(run_no) from recsql.run), (select min(policy_no) from "
            "recsql.fusion_policy), %s)",
            (slot,),
        )
        row = connection.execute(
            "insert into recsql.experiment (experiment, slot, planned_users) values ('experiment ' || %s, %s, %s) "
            "returning experiment_no, salt",
            (slot, slot, PLANNED),
        ).fetchone()
        assert row is not None
        connection.execute(
            "insert into recsql.variant (experiment_no, variant, is_control) values (%(no)s, 'a', true), "
            "(%(no)s, 'b', false)",
            {"no": row[0]},
        )
        connection.execute("update recsql.experiment set state = 'running' where experiment_no = %s", (row[0],))
        salts[slot] = row[1]
    return salts


def _shown(connection: psycopg.Connection[Any], user: str, slot: str) -> tuple[str, Any]:
    """The best item, and the request."""
    query = "select item_id, request_id from recsql_api.recommend(%s, 3, p_slot => %s, p_log => true) limit 1"
    row = connection.execute(query, (user, slot)).fetchone()
    assert row is not None
    return row[0], row[1]


def _record(connection: psycopg.Connection[Any], user: str, item: str, kind: str, request: Any = None) -> None:
    connection.execute("select recsql_api.record_event(%s, %s, %s, p_request_id => %s)", (user, item, kind, request))


def _is_variant(salt: str, user: str) -> bool:
    """Whether a user is in the second of two equal variants, as the documentation says."""
    return int(sha256(f"{salt} {user}".encode()).hexdigest()[13:26], 16) / 16**13 >= 0.5


def _compared(
    connection: psycopg.Connection[Any], experiment: str, users: list[tuple[bool, float, float]]
) -> tuple[float, bool]:
    """Largest difference between the view and NumPy, and whether there is a verdict."""
    arms = []
    for is_variant in (False, True):
        found = np.array([(reward, covariate) for is_in, reward, covariate in users if is_in == is_variant])
        arms.append(Arm.of(found[:, 0], found[:, 1]))
    ours = compare(arms[0], arms[1], PLANNED)
    row = connection.execute(
        "select n_users, fixed_lo, fixed_hi, always_lo, always_hi, cuped_fixed_lo, cuped_fixed_hi, cuped_always_lo, "
        "cuped_always_hi, split_p, verdict from recsql_api.experiment_result where experiment = %s and variant = 'b'",
        (experiment,),
    ).fetchone()
    assert row is not None
    expected = [arms[1].n]
    for difference, error in ((ours.difference, ours.error), (ours.cuped_difference, ours.cuped_error)):
        for width in (ours.fixed, ours.bound):
            expected += [difference - width * error, difference + width * error]
    error = np.abs(np.array(row[:-1]) - np.array([*expected, ours.split_p])).max()
    return float(error), row[-1] != "cannot tell"
