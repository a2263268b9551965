"""Training that goes on from a version of earlier events: ``python -m benchmarks.incremental --json --save``.

Three versions of a model recommend to the users of a run what each turns to next: ``full`` was trained on all that the
run may see, ``stale`` on the share of it that came first in time, and ``incremental`` went on from ``stale`` on the
rest. All of them read the whole histories, and none sees anything after the run's cut. The number of epochs of ``full``
and ``stale`` is chosen on the validation run, where those of ``--epochs`` and ``--replay`` are compared as well; the
test run is read once.
"""

import json
import time
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from benchmarks.data import DATASETS, model_options, pipeline_on
from benchmarks.models import scorer_of
from benchmarks.peers import Part, measure, read_part
from benchmarks.report import Report, make_parser
from workers.device import get_device
from workers.evaluate import interval
from workers.interactions import RunData, read_run
from workers.models.base import Model, Sequences, TrainingData, TrainingOptions
from workers.models.inner_product import InnerProductModel
from workers.models.registry import get_model
from workers.models.start import Start

TIMES = """
    select extract(epoch from at)::double precision from recsql.interaction
    where run_no = %s and step is not null order by user_no, step desc
"""
K = 10


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--protocol", choices=("loo", "global"), default="loo")
    parser.add_argument("--model", default="transformer")
    parser.add_argument("--options", type=json.loads, default={}, help="hyperparameters as JSON")
    parser.add_argument("--share", type=float, default=0.9, help="of the events, what stale knows")
    parser.add_argument("--epochs", type=int, nargs="+", default=[], help="fresh_epochs to compare on validation")
    parser.add_argument("--replay", type=float, nargs="+", default=[], help="replay to compare on validation")
    parser.add_argument("--only-validation", action="store_true", help="leave the test part unread")
    options = parser.parse_args()
    report = Report("incremental", options.dataset, options.protocol, options.seed)
    kind = get_model(options.model)
    if not issubclass(kind, InnerProductModel):
        parser.error(f"{options.model} does not go on from a former version")
    chosen = model_options(options.dataset, options.model) | options.options
    results: dict[str, float] = {"share": options.share}
    with pipeline_on(options.dataset, protocol=options.protocol) as pipeline:
        connection, bars = pipeline.connection, pipeline.bar
        for part in ("validation",) if options.only_validation else ("validation", "test"):
            run_no = pipeline.run(part, until="popularity")
            times = np.array(connection.execute(TIMES, (run_no,)).fetchall())[:, 0]
            case = Case.of(read_run(connection, run_no), read_part(connection, run_no), times, options.share)
            told = TrainingOptions(options.seed, get_device(), bars(part))
            if part == "validation":
                full = case.fit(kind(kind.Config(**chosen)), told, with_targets=True)
                chosen |= {"epochs": int(full.measured["epochs"])}
                results["epochs"] = chosen["epochs"]
            else:
                full = case.fit(kind(kind.Config(**chosen)), told)
            stale = case.fit(kind(kind.Config(**chosen)), told, earlier=True)
            if part == "validation" and not (options.epochs or options.replay):
                continue
            results |= {f"{part}.n_users": len(case.part.asked), f"{part}.n_new": case.n_new}
            results |= full.figures(f"{part}.full") | stale.figures(f"{part}.stale")
            found = kind(kind.Config(**chosen)).describe()
            grid = ([found["fresh_epochs"]], [found["replay"]])
            if part == "validation":
                grid = (options.epochs or grid[0], options.replay or grid[1])
            for epochs, replay in product(*grid):
                model = kind(kind.Config(**chosen | {"fresh_epochs": epochs, "replay": replay}))
                fresh = case.fit(model, told, former=stale.model)
                name = f"{part}.incremental"
                name += f".{epochs}-{replay:g}" if part == "validation" else ""
                results |= fresh.figures(name) | fresh.against(full, f"{name}.less_full", options.seed)
                results |= fresh.against(stale, f"{name}.less_stale", options.seed)
                results[f"{name}.seconds_of_full"] = fresh.seconds / full.seconds
    report.publish(results, options.save)


@dataclass
class Fitted:
    """A version and what it reaches.

    Attributes:
        model: trained.
        measured: what training says.
        seconds: that training took.
        values: NDCG@10 of each user who is asked.
    """

    model: Model
    measured: dict[str, float]
    seconds: float
    values: np.ndarray

    def figures(self, name: str) -> dict[str, float]:
        """By name, with an interval over users."""
        value, lo, hi, _ = interval(self.values, 0)
        ends = {f"{name}.ndcg@{K}": value, f"{name}.ndcg@{K}.lo": lo, f"{name}.ndcg@{K}.hi": hi}
        return {key: end for key, end in ends.items() if end is not None} | {f"{name}.seconds": self.seconds}

    def against(self, other: "Fitted", name: str, seed: int) -> dict[str, float]:
        """The difference, user by user, with an interval."""
        value, lo, hi, _ = interval(self.values - other.values, seed)
        ends = {f"{name}.ndcg@{K}": value, f"{name}.ndcg@{K}.lo": lo, f"{name}.ndcg@{K}.hi": hi}
        return {key: end for key, end in ends.items() if end is not None}


@dataclass(frozen=True)
class Case:
    """A run's data, and the part of it that came first.

    Attributes:
        data: what the run may see.
        part: what is asked of it.
        n_known: how many of each user's interactions came first, shape ``(n_users,)``.
    """

    data: RunData
    part: Part
    n_known: np.ndarray

    @classmethod
    def of(cls, data: RunData, part: Part, times: np.ndarray, share: float) -> "Case":
        """Cut at the moment before which a share of the interactions happened."""
        is_early = times <= np.quantile(times, share)
        counts = np.concatenate([[0], np.cumsum(is_early)])
        return cls(data, part, counts[data.sequences.offsets[1:]] - counts[data.sequences.offsets[:-1]])

    @property
    def n_new(self) -> int:
        """Interactions that came after the others."""
        return len(self.data.sequences.items) - int(self.n_known.sum())

    def fit(
        self,
        model: Model,
        told: TrainingOptions,
        *,
        with_targets: bool = False,
        earlier: bool = False,
        former: Model | None = None,
    ) -> Fitted:
        """Train on everything, on what came first, or on from a former version; then ask for everybody's next item."""
        sequences = self._earlier() if earlier else self.data.sequences
        start = None
        if former is not None:
            start = Start(former.state(), np.arange(len(self.data.item_nos)), self.n_known)
        options = TrainingOptions(told.seed, told.device, told.progress, start=start)
        targets = self.data.targets if with_targets else None
        began = time.perf_counter()
        measured = model.fit(TrainingData(sequences, len(self.data.item_nos), self.data.content, targets), options)
        seconds = time.perf_counter() - began
        return Fitted(model, measured, seconds, measure(self.part, scorer_of(model, self.data))[:, 0])

    def _earlier(self) -> Sequences:
        """The first of each user's interactions."""
        whole = self.data.sequences
        lengths = np.diff(whole.offsets)
        places = np.arange(len(whole.items)) - np.repeat(whole.offsets[:-1], lengths)
        is_kept = places < np.repeat(self.n_known, lengths)
        offsets = np.concatenate([[0], np.cumsum(self.n_known)])
        weights: Any = None if whole.weights is None else whole.weights[is_kept]
        return Sequences(whole.items[is_kept], offsets, weights)


if __name__ == "__main__":
    main()
