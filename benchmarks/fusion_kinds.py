"""How long fusing takes by the kind of policy: ``python -m benchmarks.fusion_kinds --json``.

Lists of users of the run that the configured database serves (``recsql demo`` makes one), the best 100 of each with
their parts. ``bare`` is the weighted sum by itself, ``weighted`` the same through ``recsql.fused``, which chooses
by the kind; they take turns in coming first, and ``ratio`` is the median of their ratios. Nothing is kept.
"""

import logging
import statistics
import time
from typing import Any

import psycopg

from benchmarks.report import Report, make_parser
from recsql import db

logger = logging.getLogger(__name__)

LISTS = """
select count(*)
from (
    select f.parts, row_number() over (partition by f.user_no order by f.score desc, f.item_no) as rank
    from recsql.{function}(%(run_no)s, %(policy_no)s, 0, %(last)s) as f
) as r
where r.rank <= 100 and r.parts is not null
"""
POLICIES = """
insert into recsql.fusion_policy (policy, kind, weights, config)
values
('bench sum', 'weighted', '{"sequential": 1, "slit": 1, "content": 0.5, "transformer": 1, "trending": 0.2}', '{}'),
('bench rrf', 'rrf', '{"sequential": 1, "slit": 1, "content": 0.5, "transformer": 1, "trending": 0.2}', '{}'),
(
    'bench switching', 'switching', '{}',
    '{"branches": [{"max_history": 50, "use": "trending"}], "else": "bench sum"}'
),
('bench mixed', 'mixed', '{}', '{"slots": {"sequential": 6, "content": 2, "trending": 2}}'),
('bench cascade', 'cascade', '{}', '{"first": "bench sum", "second": "transformer", "keep": 50}')
returning policy, policy_no
"""


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--users", type=int, default=500, help="whose number is not greater; a chunk has 500")
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    report = Report("fusion_kinds", "ml-100k", None, options.seed)
    with db.connect() as connection, connection.transaction(force_rollback=True):
        run_no = connection.execute("select run_no from recsql.release where slot = 'default'").fetchone()
        assert run_no is not None, "serve a run first: recsql demo"
        connection.execute("set local work_mem = '256MB'")  # as recsql.fuse has it
        numbers = dict(connection.execute(POLICIES).fetchall())
        seconds: dict[str, list[float]] = {}
        for repeat in range(options.repeats):
            for name, policy_no in numbers.items():
                kind = name.removeprefix("bench ").replace("sum", "weighted")
                functions = {"bare": "weighted_fused", kind: "fused"} if kind == "weighted" else {kind: "fused"}
                # Whatever comes second finds more in the cache.
                for measured, function in sorted(functions.items(), reverse=repeat % 2 == 1):
                    took = fuse(connection, function, run_no[0], policy_no, options.users)
                    seconds.setdefault(measured, []).append(took)
            logger.info("%s: %s", repeat, {name: round(taken[-1], 2) for name, taken in seconds.items()})
    results = {f"{name}.seconds": statistics.median(taken) for name, taken in seconds.items()}
    ratios = [new / bare for new, bare in zip(seconds["weighted"], seconds["bare"], strict=True)]
    report.publish(results | {"ratio": statistics.median(ratios)}, options.save)


def fuse(connection: psycopg.Connection[Any], function: str, run_no: int, policy_no: int, last: int) -> float:
    """Seconds that the lists of the users up to a number take."""
    began = time.monotonic()
    connection.execute(
        LISTS.format(function=function).encode(), {"run_no": run_no, "policy_no": policy_no, "last": last}
    )
    return time.monotonic() - began


if __name__ == "__main__":
    main()
