"""AUC of recommender models on held-out events: ``python -m benchmarks.auc --dataset ml-100k --json --save``.

Protocol: the validation and the test run of ``loo`` or ``global`` are made (or found) up to their popularity. Each
model is trained on the validation run, whose held-out events choose its number of epochs, then for as many epochs on
the test run, whose held-out events are read once. A user's held-out items are those that the run calls relevant: one
by ``loo``, all later ones by ``global``. Each has one negative, drawn evenly from the items that somebody had in the
run's training part, less those that the user had in training or has among the held-out ones; a held-out item that
nobody had in training has one too. All models meet the same negatives, which the seed decides.

``MODEL.auc`` is the share of the pairs of a user's held-out item and its negative that the model orders rightly, ties
half, as a mean over users with its 95 % bootstrap interval. What a model has no score for comes after all that it has
one for, and ties with the like; users of whom the run knows nothing are nothing but ties. ``MODEL.pooled_auc`` compares
every held-out item with every negative across users, as the area under one ROC curve does, and so also asks that scores
of different users can be compared; users of whom the run knows nothing are left out. ``MODEL.ndcg@10`` and
``MODEL.recall@10`` rank the whole catalogue, as ``benchmarks.quality`` and ``benchmarks.cf`` do.

Models learn from behaviour alone: content vectors are not given to them. With ``--recbole-python``, an interpreter that
has RecBole (``benchmarks/recbole_peer.py`` says how to make it), its NeuMF is trained likewise, in the settings and for
the epochs that :mod:`benchmarks.neural_peers` would choose; ``--recbole-options`` gives those that it did choose.

With ``--save`` each model is written once it is measured; the figures of models that are not measured stay, each with
the command that they came from.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.data import DATASETS
from benchmarks.neural_peers import NEURAL_PEERS, Trained
from benchmarks.peers import Part as Asked
from benchmarks.peers import Scorer, measure, read_part
from benchmarks.report import Collected, Report, make_parser
from recsql import db, ingest, migrate
from recsql.cli.output import progress_bars
from recsql.readers.factory import open_reader
from workers.commands import stage_bars
from workers.device import get_device
from workers.evaluate import interval
from workers.interactions import RunData
from workers.models.base import TrainingData, TrainingOptions
from workers.models.registry import get_model
from workers.pipeline import Pipeline, PipelineConfig
from workers.run import Part, Run

MODELS = ("neumf", "two_tower", "als", "bpr")
POPULARITY = "popularity"
RECBOLE = "recbole-neumf"

Bar = Callable[[str], Callable[[int, int, str], None]]


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--protocol", choices=("loo", "global"), default="loo")
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS), help="all by default")
    parser.add_argument("--recbole-python", type=Path, help="interpreter that has RecBole, to measure its NeuMF")
    parser.add_argument("--recbole-options", type=json.loads, default={}, help="its settings as JSON, a list is a grid")
    options = parser.parse_args()
    source, config = DATASETS[options.dataset]
    collected = Collected(Report("auc", options.dataset, options.protocol, options.seed), options.save)
    url = db.database_url()
    migrate.upgrade(url)
    with db.connect(url) as connection, progress_bars() as progress:
        ingest.load(connection, open_reader(source))
        bars = stage_bars(progress)
        pipeline = Pipeline(connection, PipelineConfig(protocol=options.protocol, seed=options.seed, **config), bars)
        parts: tuple[Part, Part] = ("validation", "test")
        validation, test = (_read(connection, pipeline, part) for part in parts)
        pairs = draw_pairs(*test, options.seed)
        for name in options.models:
            configured = config.get("models", {}).get(name, {})
            collected.add(name, _measure_model(name, validation, test, pairs, options.seed, configured, bars))
        if options.recbole_python is not None:
            found = _measure_recbole(
                options.recbole_python, options.recbole_options, validation, test, pairs, options.seed, bars
            )
            collected.add(RECBOLE, found)
        ndcg = measure(validation[1], _popularity(validation[0]))[:, 0].mean()
        of_popularity = _figures(_popularity(test[0]), test[1], pairs, options.seed)
        collected.add(POPULARITY, {"validation.ndcg@10": float(ndcg)} | of_popularity)


def _read(connection: psycopg.Connection[Any], pipeline: Pipeline, part: Part) -> tuple[RunData, Asked]:
    run_no = pipeline.run(part, until="popularity")
    return Run(connection, run_no, part, pipeline.config).data, read_part(connection, run_no)


@dataclass(frozen=True)
class Pairs:
    """Held-out items, each with a negative of the same user.

    Attributes:
        users: user row of each pair, ascending, shape ``(n_pairs,)``.
        positives: held-out item rows, of the same shape.
        negatives: item rows that the user never had, of the same shape.
        n_new: users with held-out items of whom the run knows nothing.
    """

    users: NDArray[np.int64]
    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]
    n_new: int = 0


def draw_pairs(data: RunData, asked: Asked, seed: int) -> Pairs:
    """One negative for each held-out item, from what somebody had in training less what the user ever had.

    A user who had everything has no pair.
    """
    rng = np.random.default_rng(seed)
    offered = np.unique(data.sequences.items)
    # Empty parts, so that there is something to join where nobody has a pair.
    users, positives, negatives = ([np.zeros(0, dtype=np.int64)] for _ in range(3))
    for user, relevant in zip(asked.asked, asked.relevant, strict=True):
        never = np.setdiff1d(offered, np.concatenate([data.sequences.of(user), relevant]))
        if len(never):
            users.append(np.full(len(relevant), user))
            positives.append(relevant)
            negatives.append(rng.choice(never, len(relevant)))
    return Pairs(np.concatenate(users), np.concatenate(positives), np.concatenate(negatives), asked.n_new)


def auc_of_users(
    pairs: Pairs, positives: NDArray[np.floating[Any]], negatives: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Share of each user's pairs that are in the right order, ties half; users who are new come last, with a half.

    Args:
        pairs: of ``n_pairs``.
        positives: scores of the held-out items, shape ``(n_pairs,)``, -inf where there is none.
        negatives: scores of their negatives.

    Returns:
        Shape ``(n_users,)``.
    """
    is_right = (positives > negatives) + 0.5 * (positives == negatives)
    _, owner = np.unique(pairs.users, return_inverse=True)
    shares = np.bincount(owner, weights=is_right) / np.bincount(owner)
    return np.concatenate([shares, np.full(pairs.n_new, 0.5)])


def pooled_auc(positives: NDArray[np.floating[Any]], negatives: NDArray[np.floating[Any]]) -> float:
    """Share of all pairs of a positive and a negative, of whichever users, in the right order, ties half."""
    n_positives, n_negatives = len(positives), len(negatives)
    ranks = rankdata(np.concatenate([positives, negatives]))[:n_positives]
    return float((ranks.sum() - n_positives * (n_positives + 1) / 2) / (n_positives * n_negatives))


def _measure_model(
    name: str,
    validation: tuple[RunData, Asked],
    test: tuple[RunData, Asked],
    pairs: Pairs,
    seed: int,
    settings: dict[str, Any],
    bars: Bar,
) -> dict[str, float]:
    """Figures of a model whose epochs validation chose."""
    kind = get_model(name)
    chooser, (known, asked) = kind(kind.Config(**settings)), validation
    chosen = chooser.fit(
        TrainingData(known.sequences, len(known.item_nos), targets=known.targets),
        TrainingOptions(seed, get_device(), bars(f"validation: {name}")),
    )
    ndcg = measure(asked, _scorer(chooser.score, known))[:, 0].mean()
    model, (known, asked) = kind(kind.Config(**settings | {"epochs": int(chosen["epochs"])})), test
    measured = model.fit(
        TrainingData(known.sequences, len(known.item_nos)),
        TrainingOptions(seed, get_device(), bars(f"test: {name}")),
    )
    return {
        "epochs": chosen["epochs"],
        "validation.ndcg@10": float(ndcg),
        "seconds": measured["seconds"],
        **_figures(_scorer(model.score, known), asked, pairs, seed),
    }


def _measure_recbole(
    python: Path,
    settings: dict[str, Any],
    validation: tuple[RunData, Asked],
    test: tuple[RunData, Asked],
    pairs: Pairs,
    seed: int,
    bars: Bar,
) -> dict[str, float]:
    """Figures of RecBole's NeuMF, whose settings and epochs validation chose."""
    with tempfile.TemporaryDirectory() as folder:
        trained = Trained(NEURAL_PEERS[RECBOLE], python, Path(folder), seed)
        found = trained.choose(*validation, settings, 10, bars(f"validation: {RECBOLE}"))
        scorer = trained.scorer(test[0], bars(f"test: {RECBOLE}"))
        return found | _figures(scorer, test[1], pairs, seed)


def _scorer(score: Callable[[Any, Any], NDArray[np.float32]], data: RunData) -> Scorer:
    """Scores of the whole catalogue by a model."""
    everything = np.arange(len(data.item_nos))
    return lambda users: score(
        data.sequences.take(np.arange(users.start, users.stop)), np.tile(everything, (len(users), 1))
    )


def _popularity(data: RunData) -> Scorer:
    """The number of users who had an item, for everybody alike."""
    counts = np.bincount(data.sequences.items, minlength=len(data.item_nos)).astype(np.float32)
    return lambda users: np.tile(counts, (len(users), 1))


def _figures(scorer: Scorer, asked: Asked, pairs: Pairs, seed: int) -> dict[str, float]:
    """AUC by user and across users, NDCG@10 and recall@10 on the test run, with intervals."""
    positives, negatives = (np.full(len(pairs.users), -np.inf) for _ in range(2))
    for begin in range(0, asked.seen.shape[0], 500):
        users = range(begin, min(begin + 500, asked.seen.shape[0]))
        inside = slice(*np.searchsorted(pairs.users, [users.start, users.stop]))
        scores, rows = scorer(users), pairs.users[inside] - users.start
        positives[inside] = scores[rows, pairs.positives[inside]]
        negatives[inside] = scores[rows, pairs.negatives[inside]]
    positives, negatives = (np.nan_to_num(side, nan=-np.inf, neginf=-np.inf) for side in (positives, negatives))
    ranking = measure(asked, scorer)
    by_user = {
        "auc": auc_of_users(pairs, positives, negatives),
        "ndcg@10": ranking[:, 0],
        "recall@10": ranking[:, 1],
    }
    found = {"pairs": float(len(pairs.users)), "pooled_auc": pooled_auc(positives, negatives)}
    for metric, values in by_user.items():
        value, lo, hi, _ = interval(values, seed)
        ends = (("", value), (".lo", lo), (".hi", hi))
        found |= {f"{metric}{end}": figure for end, figure in ends if figure is not None}
    return found


if __name__ == "__main__":
    main()
