"""The data sets that models are measured on, loaded and embedded, with the pipeline's settings for each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recsql import db, ingest, migrate
from recsql.cli.output import progress_bars
from recsql.readers.factory import open_reader
from workers.commands import embed_backlog, stage_bars
from workers.pipeline import Pipeline, PipelineConfig

DATASETS = {
    "ml-100k": ("movielens-100k", {}),
    "ml-1m": (
        "movielens-1m",
        {
            "reverse": 0.15,
            "models": {
                **{name: {"max_length": 200} for name in ("transformer", "joint", "gru4rec", "nextitnet", "bert4rec")},
                "slit": {"reverse": 0.15},
                "ease_whole": {"lambda_": 3000.0},
            },
        },
    ),
}


@contextmanager
def pipeline_on(dataset: str, **settings: Any) -> Iterator[Pipeline]:
    """A pipeline on the configured database, which has the data set with its content vectors.

    Args:
        dataset: a name of ``DATASETS``.
        settings: of :class:`PipelineConfig`, beside the data set's own.
    """
    source, config = DATASETS[dataset]
    url = db.database_url()
    migrate.upgrade(url)
    with db.connect(url) as connection, progress_bars() as progress:
        ingest.load(connection, open_reader(source))
        bars = stage_bars(progress)
        embed_backlog(connection, bars)
        yield Pipeline(connection, PipelineConfig(**config, **settings), bars)


def model_options(dataset: str, model: str) -> dict[str, Any]:
    """The hyperparameters of a model that differ from its defaults on a data set."""
    return DATASETS[dataset][1].get("models", {}).get(model, {})
