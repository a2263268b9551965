"""What each part of a model is worth: ``python -m benchmarks.ablation --json --save``.

Variants of the sequence models, each trained on the validation run under several seeds; ``ndcg@10`` on what came next
is the mean over them, ``range`` how far they lie apart. The test part is not read. ``change`` is the mean difference to
the first variant of the same group, seed by seed, and ``change.error`` its standard error over the seeds.
"""

from typing import Any

import numpy as np

from benchmarks.data import DATASETS, model_options, pipeline_on
from benchmarks.report import Report, make_parser
from recsql.cli.output import progress_bars
from workers.commands import stage_bars
from workers.device import get_device
from workers.interactions import read_run
from workers.models.base import TrainingData, TrainingOptions
from workers.models.registry import get_model

VARIANTS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "transformer": (
        "transformer",
        {
            "default": {},
            "swiglu": {"feed_forward": "swiglu"},
            "gbce": {"loss": "gbce", "n_negatives": 256},
            "sampled": {"full_softmax_items": 0},
            "adversarial": {"adversarial": 0.5},
            "cosine": {"decay": "cosine"},
            "not averaged": {"average": 0.0},
            "weighted": {"is_weighted": True},
            "reads ratings": {"reads": ["value"]},
            "reads gaps": {"reads": ["gap"]},
            "items of ids": {"items": "id"},
            "items of content": {"items": "content"},
        },
    ),
    "joint": (
        "joint",
        {
            "w_C 0, w_D 1": {"collaborative": 0.0},
            "w_C 0.001, w_D 1": {"collaborative": 0.001},
            "w_C 0.01, w_D 1": {"collaborative": 0.01},
            "w_C 0.1, w_D 1": {"collaborative": 0.1},
            "w_C 1, w_D 1": {"collaborative": 1.0},
            "w_C 1, w_D 0": {"collaborative": 1.0, "deep": 0.0},
        },
    ),
    "gru4rec": ("gru4rec", {"default": {}, "reads gaps": {"reads": ["gap"]}, "reads ratings": {"reads": ["value"]}}),
}


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--protocol", choices=("loo", "global"), default="loo")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--groups", nargs="+", choices=sorted(VARIANTS), default=sorted(VARIANTS))
    options = parser.parse_args()
    report = Report("ablation", options.dataset, options.protocol, options.seed)
    with pipeline_on(options.dataset, protocol=options.protocol) as pipeline:
        connection, bars = pipeline.connection, pipeline.bar
        run = read_run(connection, pipeline.run("validation", until="popularity"))
    data = TrainingData(run.sequences, len(run.item_nos), run.content, run.targets)
    results: dict[str, float] = {}
    with progress_bars() as progress:
        bars = stage_bars(progress)
        for group in options.groups:
            name, variants = VARIANTS[group]
            kind, first = get_model(name), np.zeros(0)
            for variant, chosen in variants.items():
                model_config = kind.Config(**(model_options(options.dataset, name, options.protocol) | chosen))
                values = np.array(
                    [
                        kind(model_config).fit(
                            data, TrainingOptions(seed, get_device(), bars(f"{group}, {variant}, seed {seed}"))
                        )["ndcg@10"]
                        for seed in range(options.seed, options.seed + options.seeds)
                    ]
                )
                label = f"{group}, {variant}"
                results |= {f"{label}.ndcg@10": float(values.mean()), f"{label}.range": float(np.ptp(values))}
                if not len(first):
                    first = values
                    continue
                results[f"{label}.change"] = float((values - first).mean())
                if len(values) > 1:
                    results[f"{label}.change.error"] = float((values - first).std(ddof=1) / len(values) ** 0.5)
    report.publish(results, options.save)


if __name__ == "__main__":
    main()
