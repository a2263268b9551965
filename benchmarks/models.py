"""All models on one split, ranking the whole catalogue by themselves: ``python -m benchmarks.models --json --save``.

Each model, with the hyperparameters of :mod:`benchmarks.data`, is trained on the validation run, which chooses its
number of epochs, then on the test run for as many, which is read once a seed. Figures are of the first seed, with
intervals over users; with more seeds, which train on the test run for as many epochs as the first, ``ndcg@10`` of each,
the mean and the range stand beside them.

``coverage@10``: share of the catalogue that is in anybody's list; ``novelty@10``: mean information of what is
recommended, in bits, as in the product's own reports. Where relevant items are new, that is without an event in
training, ``new_items.ndcg@10`` and ``new_items.recall@10`` rank new items alone, for the users who turned to one.

With ``--save`` each model is written once it is measured; the figures of models that are not measured stay, each with
the command that they came from.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from re import fullmatch
from typing import Any, Self

import numpy as np

from benchmarks.data import DATASETS, model_options, pipeline_on
from benchmarks.peers import Part, Scorer, measure, read_part
from benchmarks.report import Collected, Report, make_parser
from recsql.cli.output import progress_bars
from workers.commands import stage_bars
from workers.device import get_device
from workers.evaluate import interval
from workers.interactions import RunData, read_run
from workers.models.base import Model, TrainingData, TrainingOptions
from workers.models.registry import MODELS, get_model
from workers.pipeline import Pipeline

K = 10


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--protocol", choices=("loo", "global"), default="loo")
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=sorted(MODELS))
    parser.add_argument("--options", type=json.loads, default={}, help='hyperparameters as JSON, {"MODEL": {…}}')
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from --seed upwards")
    parser.add_argument("--add-seeds", action="store_true", help="to the saved figures, whose number of epochs stands")
    parser.add_argument("--label", help="of the report's file, so that variants do not replace each other")
    parser.add_argument("--only-validation", action="store_true", help="leave the test part unread")
    options = parser.parse_args()
    label = options.dataset if options.label is None else f"{options.dataset}-{options.label}"
    report = Report("models", label, options.protocol, options.seed)
    collected = Collected(report, options.save)
    with pipeline_on(options.dataset, protocol=options.protocol) as pipeline:
        split = Split.read(pipeline)
    with progress_bars() as progress:
        bars = stage_bars(progress)
        for name in options.models:
            chosen = model_options(options.dataset, name, options.protocol) | options.options.get(name, {})
            kind, seeds = get_model(name), range(options.seed, options.seed + options.seeds)
            told = [TrainingOptions(seed, get_device(), bars(f"{name}, seed {seed}")) for seed in seeds]
            if options.add_seeds:
                found = collected.of(name)
                if "epochs" not in found:
                    parser.error(f"no figures of {name} are saved that seeds could be added to")
            else:
                found = split.choose(kind, chosen, told[0])
            if not options.only_validation:
                epochs = {"epochs": int(found["epochs"])} if "epochs" in kind.Config.model_fields else {}
                for one in told:
                    measured = split.measure(kind, chosen | epochs, one)
                    found[f"seeds.{one.seed}.ndcg@{K}"] = measured[f"ndcg@{K}"]
                    # All other figures are those of the first seed.
                    found = measured | found
                values = [value for figure, value in found.items() if fullmatch(r"seeds\.\d+\..*", figure)]
                if len(values) > 1:
                    found |= {"seeds.mean": float(np.mean(values)), "seeds.range": float(np.ptp(values))}
            collected.add(name, found, "more seeds" if options.add_seeds else None)


@dataclass(frozen=True)
class Split:
    """What models are trained and measured on.

    Attributes:
        validation: the validation run, with the targets that choose the number of epochs.
        test: the test run.
        asked_of_validation: what is asked of the validation run.
        asked_of_test: what is asked of the test run.
    """

    validation: RunData
    test: RunData
    asked_of_validation: Part
    asked_of_test: Part

    @classmethod
    def read(cls, pipeline: Pipeline) -> Self:
        """Make a pipeline's two offline runs, or find them, and read them."""
        validation_no, test_no = (pipeline.run(part, until="popularity") for part in ("validation", "test"))
        return cls(
            read_run(pipeline.connection, validation_no),
            read_run(pipeline.connection, test_no),
            read_part(pipeline.connection, validation_no),
            read_part(pipeline.connection, test_no),
        )

    def choose(self, kind: type[Model], chosen: dict[str, Any], told: TrainingOptions) -> dict[str, float]:
        """The best number of epochs on the validation run, and what it gives there."""
        model = kind(kind.Config(**chosen))
        found = self._fit(model, self.validation, self.validation.targets, told)
        ndcg = measure(self.asked_of_validation, scorer_of(model, self.validation))[:, 0].mean()
        return {"epochs": found["epochs"], "seconds": found["seconds"], f"validation.ndcg@{K}": float(ndcg)}

    def measure(self, kind: type[Model], chosen: dict[str, Any], told: TrainingOptions) -> dict[str, float]:
        """Figures on the test run of one model under one seed."""
        model = kind(kind.Config(**chosen))
        self._fit(model, self.test, None, told)
        return figures(self.asked_of_test, scorer_of(model, self.test), told.seed)

    @staticmethod
    def _fit(model: Model, data: RunData, targets: Any, told: TrainingOptions) -> dict[str, float]:
        return model.fit(TrainingData(data.sequences, len(data.item_nos), data.content, targets), told)


def scorer_of(model: Model, data: RunData) -> Scorer:
    """Scores of all items for a range of a run's users."""
    users, items = model.user_vectors(data.sequences), model.item_vectors()
    everything = np.arange(len(data.item_nos))

    def score(rows: range) -> np.ndarray:
        if users is not None and items is not None:
            return users[rows.start : rows.stop] @ items.T
        asked = data.sequences.take(np.arange(rows.start, rows.stop))
        return model.score(asked, np.broadcast_to(everything, (len(rows), len(everything))))

    return score


def figures(part: Part, scorer: Scorer, seed: int) -> dict[str, float]:
    """Quality, coverage, novelty and, where they apply, figures of new items; the seed resamples users."""
    results = _with_intervals(measure(part, scorer), "", seed)
    return results | _beyond_accuracy(part, scorer) | _of_new_items(part, scorer, seed)


def _beyond_accuracy(part: Part, scorer: Scorer) -> dict[str, float]:
    """Coverage and novelty of the lists of those who are asked."""
    counts = np.asarray(part.seen.sum(axis=0)).ravel()
    information = -np.log2(np.maximum(counts, 1) / part.seen.shape[0])
    shown = np.concatenate([top.ravel() for top in _tops(part, scorer)] or [np.empty(0, dtype=np.int64)])
    return {
        f"coverage@{K}": len(np.unique(shown)) / len(counts),
        f"novelty@{K}": float(information[shown].mean()) if len(shown) else 0.0,
    }


def _of_new_items(part: Part, scorer: Scorer, seed: int) -> dict[str, float]:
    """Quality among the items that training has no event of; nothing where nobody turned to one."""
    is_new = np.asarray(part.seen.sum(axis=0)).ravel() == 0
    relevant = [items[is_new[items]] for items in part.relevant]
    wants = np.array([len(items) > 0 for items in relevant], dtype=bool)
    if not wants.any():
        return {}
    asked = Part(part.seen, part.asked[wants], [items for items in relevant if len(items)])
    values = measure(asked, lambda rows: np.where(is_new, scorer(rows), np.nan).astype(np.float32))
    results = {"new_items.items": float(is_new.sum()), "new_items.users": float(wants.sum())}
    return results | _with_intervals(values, "new_items.", seed)


def _with_intervals(values: np.ndarray, prefix: str, seed: int) -> dict[str, float]:
    """Means of NDCG and recall over users, shape ``(n_users, 2)``, with their intervals."""
    results: dict[str, float] = {}
    for column, metric in enumerate((f"{prefix}ndcg@{K}", f"{prefix}recall@{K}")):
        value, lo, hi, _ = interval(values[:, column], seed)
        results |= {f"{metric}{end}": x for end, x in (("", value), (".lo", lo), (".hi", hi)) if x is not None}
    return results


def _tops(part: Part, scorer: Scorer) -> Iterator[np.ndarray]:
    """The best items of the users who are asked, shape ``(n_rows, K)``, without those that they have had."""
    for start in range(0, part.seen.shape[0], 500):
        rows = range(start, min(start + 500, part.seen.shape[0]))
        scores = np.nan_to_num(scorer(rows), nan=-np.inf)
        for row in rows:
            scores[row - start, part.seen.indices[part.seen.indptr[row] : part.seen.indptr[row + 1]]] = -np.inf
        inside = part.asked[(part.asked >= rows.start) & (part.asked < rows.stop)] - start
        yield np.argsort(-scores[inside], axis=1, kind="stable")[:, :K]


if __name__ == "__main__":
    main()
