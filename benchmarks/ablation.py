"""What each part of a model is worth: ``python -m benchmarks.ablation --json --save``.

Variants of the sequence models, each trained on the validation run under several seeds; ``ndcg@10`` on what came next
is the mean over them, ``range`` how far they lie apart. The test part is not read. ``change`` is the mean difference to
the first variant of the same group, seed by seed, and ``change.error`` its standard error over the seeds. By
``global``, where some of what came later is new, ``new_items.ndcg@10`` ranks items without an event alone, for the
users who turned to one.

With ``--save`` each variant is written once it is measured; groups that are not measured stay as they are.
"""

from typing import Any

import numpy as np

from benchmarks.data import DATASETS, model_options, pipeline_on
from benchmarks.models import figures, scorer_of
from benchmarks.peers import read_part
from benchmarks.report import Collected, Report, make_parser
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
            "trend": {"trend": 7.0},
        },
    ),
    "items": ("transformer", {"id and content": {}, "id": {"items": "id"}, "content": {"items": "content"}}),
    "joint": (
        "joint",
        {
            "w_C 0, w_D 1": {"collaborative": 0.0},
            "w_C 0.001, w_D 1": {"collaborative": 0.001},
            "w_C 0.01, w_D 1": {"collaborative": 0.01},
            "w_C 0.1, w_D 1": {"collaborative": 0.1},
            "w_C 1, w_D 1": {"collaborative": 1.0},
            "w_C 1, w_D 0": {"collaborative": 1.0, "deep": 0.0},
            # There is no feedback, so what was offered and what came of it is derived from what users did.
            "w_C 0.01, w_D 1, w_S 0.1": {"policy": 0.1, "is_policy_derived": True},
            "w_C 0.01, w_D 1, w_S 1": {"policy": 1.0, "is_policy_derived": True},
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
    collected = Collected(Report("ablation", options.dataset, options.protocol, options.seed), options.save)
    with pipeline_on(options.dataset, protocol=options.protocol) as pipeline:
        run_no = pipeline.run("validation", until="popularity")
        run, part = read_run(pipeline.connection, run_no), read_part(pipeline.connection, run_no)
    data = TrainingData(run.sequences, len(run.item_nos), run.content, run.targets)
    with progress_bars() as progress:
        bars = stage_bars(progress)
        for group in options.groups:
            name, variants = VARIANTS[group]
            kind, first, found = get_model(name), np.zeros(0), dict[str, float]()
            for variant, chosen in variants.items():
                config = kind.Config(**(model_options(options.dataset, name, options.protocol) | chosen))
                measured: list[dict[str, float]] = []
                for seed in range(options.seed, options.seed + options.seeds):
                    model = kind(config)
                    bar = bars(f"{group}, {variant}, seed {seed}")
                    model.fit(data, TrainingOptions(seed, get_device(), bar))
                    measured.append(figures(part, scorer_of(model, run), seed))
                for metric in ("ndcg@10", "new_items.ndcg@10"):
                    if metric in measured[0]:
                        found[f"{variant}.{metric}"] = float(np.mean([figure[metric] for figure in measured]))
                values = np.array([figure["ndcg@10"] for figure in measured])
                found[f"{variant}.range"] = float(np.ptp(values))
                if not len(first):
                    first = values
                else:
                    found[f"{variant}.change"] = float((values - first).mean())
                    if len(values) > 1:
                        found[f"{variant}.change.error"] = float((values - first).std(ddof=1) / len(values) ** 0.5)
                collected.add(group, found)


if __name__ == "__main__":
    main()
