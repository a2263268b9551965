"""Ways to find which items users have in common, in one run: ``python -m benchmarks.cooccurrence --json``.

Each way counts the common users of all pairs of items over the newest 100 items of every user and keeps the 200 best
neighbours of each item; all must give the same lists. The statements are in ``cooccurrence.sql``; what is served is
``per_item``. A way that takes longer than ``--limit`` is stopped and reported as that limit.
"""

import re
import time
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.data import DATASETS
from benchmarks.report import Report, make_parser
from recsql import db, ingest, migrate
from recsql.cli.output import progress_bars
from recsql.readers.factory import open_reader
from workers.commands import stage_bars
from workers.pipeline import Pipeline, PipelineConfig

STATEMENTS = Path(__file__).with_suffix(".sql")


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--limit", type=int, default=300, help="seconds that a way may take")
    parser.add_argument("--only", nargs="*", help="names of the ways to try; all by default")
    options = parser.parse_args()
    source, config = DATASETS[options.dataset]
    report = Report("cooccurrence", options.dataset, "loo", options.seed)
    url = db.database_url()
    migrate.upgrade(url)
    results: dict[str, float] = {}
    with db.connect(url) as connection, progress_bars() as progress:
        ingest.load(connection, open_reader(source))
        bars = stage_bars(progress)
        run_no = Pipeline(connection, PipelineConfig(**config), bars).run("test", until="popularity")
        ways = read_ways()
        connection.execute(ways.pop("prepare").replace("{run_no}", str(run_no)).encode())
        bar = bars("ways")
        answers: dict[str, str] = {}
        for index, (name, statement) in enumerate(ways.items()):
            bar(index, len(ways), name)
            if options.only and name not in options.only:
                continue
            began = time.monotonic()
            answer = run_way(connection, statement, options.limit)
            results[f"{name}.seconds"] = time.monotonic() - began
            if answer is not None:
                answers[name] = answer
        bar(len(ways), len(ways), "")
    if len(set(answers.values())) > 1:
        raise SystemExit(f"The ways disagree: {answers}")
    report.publish(results, options.save)


def read_ways() -> dict[str, str]:
    """Statements by name."""
    parts = re.split(r"^-- (\w+) --$", STATEMENTS.read_text(), flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def run_way(connection: psycopg.Connection[Any], statement: str, limit: int) -> str | None:
    """Checksum of the lists; None where the way took longer than the limit."""
    with connection.transaction(force_rollback=True):
        connection.execute("select set_config('statement_timeout', %s, true)", (f"{limit}s",))
        *settings, query = statement.split(";\n\n")
        for setting in settings:
            connection.execute(setting.encode())
        try:
            row = connection.execute(query.rstrip(";").encode()).fetchone()
        except psycopg.errors.QueryCanceled:
            return None
    assert row is not None
    return str(row[0])


if __name__ == "__main__":
    main()
