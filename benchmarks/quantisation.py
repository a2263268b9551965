"""What artifacts of 8 bits a number cost and save: ``python -m benchmarks.quantisation --json --save``.

Each model is trained on the validation run, and rounded. NDCG@10 is of what its users turned to next, over the whole
catalogue, the difference is user by user; ``bytes`` are those of the artifacts. Scoring is of ``--candidates`` random
items for every user, by both in turn; medians of ``--repeats``.
"""

import json
import time
from statistics import median

import numpy as np

from benchmarks.data import DATASETS, model_options, pipeline_on
from benchmarks.models import scorer_of
from benchmarks.peers import measure, read_part
from benchmarks.report import Report, make_parser
from workers.evaluate import interval
from workers.interactions import read_run
from workers.models.base import TrainingData, TrainingOptions
from workers.models.registry import get_model, load_artifact, save_artifact, save_int8_artifact

K = 10


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--protocol", choices=("loo", "global"), default="loo")
    parser.add_argument("--models", nargs="+", default=["transformer", "gru4rec"])
    parser.add_argument("--epochs", type=int, help="at most; the models' own number when left out")
    parser.add_argument("--options", type=json.loads, default={}, help='hyperparameters as JSON, {"MODEL": {…}}')
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    report = Report("quantisation", options.dataset, options.protocol, options.seed)
    results: dict[str, float] = {}
    with pipeline_on(options.dataset, protocol=options.protocol) as pipeline:
        connection, bars = pipeline.connection, pipeline.bar
        run_no = pipeline.run("validation", until="popularity")
        data, part = read_run(connection, run_no), read_part(connection, run_no)
    n_items = len(data.item_nos)
    items = np.random.default_rng(options.seed).integers(0, n_items, (data.sequences.n_users, options.candidates))
    for name in options.models:
        kind = get_model(name)
        chosen = model_options(options.dataset, name) | options.options.get(name, {})
        chosen |= {} if options.epochs is None else {"epochs": options.epochs}
        model = kind(kind.Config(**chosen))
        model.fit(
            TrainingData(data.sequences, n_items, data.content, data.targets),
            TrainingOptions(options.seed, progress=bars(name)),
        )
        blobs = {"float32": save_artifact(model), "int8": save_int8_artifact(model)}
        loaded = {form: load_artifact(blob) for form, blob in blobs.items()}
        values = {form: measure(part, scorer_of(one, data))[:, 0] for form, one in loaded.items()}
        values["difference"] = values["int8"] - values["float32"]
        for form, found in values.items():
            value, lo, hi, _ = interval(found, options.seed)
            ends = {"": value, ".lo": lo, ".hi": hi}
            results |= {f"{name}.{form}.ndcg@{K}{end}": x for end, x in ends.items() if x is not None}
        seconds: dict[str, list[float]] = {form: [] for form in loaded}
        for _ in range(options.repeats):
            for form, one in loaded.items():
                began = time.perf_counter()
                one.score(data.sequences, items)
                seconds[form].append(time.perf_counter() - began)
        for form, blob in blobs.items():
            results |= {f"{name}.{form}.bytes": len(blob), f"{name}.{form}.seconds": median(seconds[form])}
        for figure in ("bytes", "seconds"):
            results[f"{name}.{figure}_ratio"] = results[f"{name}.int8.{figure}"] / results[f"{name}.float32.{figure}"]
    report.publish(results, options.save)


if __name__ == "__main__":
    main()
