"""How fast the transformer is trained, beside RecTools' SASRec: ``python -m benchmarks.training --json --save``.

Two comparisons on the validation run, of the same dimensions: tokens a second (places with a target; padding is
nobody's gain), both sides in turn and medians of them; and the time until ``--share`` of our final NDCG@10 is reached,
ours with the time that validation takes, the peer's without. The peer, which lives in an environment of its own (see
:mod:`benchmarks.rectools_peer`), ends when it is there or after ``--limit`` times our time.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.data import DATASETS, model_options, pipeline_on
from benchmarks.report import Report, make_parser
from recsql.cli.output import progress_bars
from workers.commands import stage_bars
from workers.device import get_device
from workers.interactions import RunData, read_run
from workers.models.base import TrainingData, TrainingOptions
from workers.models.transformer import Transformer, TransformerConfig

PEER = Path(__file__).with_name("rectools_peer.py")


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--peer-python", type=Path, help="interpreter that has RecTools; without it only ours runs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-steps", type=int, default=10, help="batches of a repeat of the peer")
    parser.add_argument("--share", type=float, default=0.95, help="of our final NDCG@10")
    parser.add_argument("--limit", type=float, default=3.0, help="multiple of our time that the peer is given")
    options = parser.parse_args()
    report = Report("training", options.dataset, "loo", options.seed)
    with pipeline_on(options.dataset, protocol="loo") as pipeline:
        data = read_run(pipeline.connection, pipeline.run("validation", until="popularity"))
    chosen = model_options(options.dataset, "transformer")
    with tempfile.TemporaryDirectory() as folder:
        peer = None if options.peer_python is None else PeerProcess(options.peer_python, Path(folder), data)
        with progress_bars() as progress:
            results = speed(data, chosen, peer, options.repeats, options.peer_steps, stage_bars(progress)("speed"))
        with progress_bars() as progress:
            bar = stage_bars(progress)("time")
            results |= time_to(data, chosen, peer, options.share, options.limit, options.seed, bar)
    report.publish(results, options.save, threads=torch.get_num_threads())


class PeerProcess:
    """RecTools in an interpreter of its own.

    Args:
        python: that interpreter.
        folder: for the data.
        data: what it is trained on.
    """

    def __init__(self, python: Path, folder: Path, data: RunData) -> None:
        self._command = [str(python), str(PEER), str(folder / "data.npz"), "--threads", str(torch.get_num_threads())]
        s = data.sequences
        assert data.targets is not None
        n_items = np.array(len(data.item_nos))
        targets = np.full(s.n_users, -1)
        has_one = np.diff(data.targets.offsets) > 0
        targets[has_one] = data.targets.items
        np.savez(folder / "data.npz", n_items=n_items, items=s.items, offsets=s.offsets, targets=targets)

    def epochs(self, config: TransformerConfig, *arguments: str) -> Iterator[dict[str, float]]:
        """What each epoch of a training of our dimensions tells."""
        same = {"dim": config.dim, "layers": config.n_layers, "heads": config.n_heads, "max-length": config.max_length}
        told = [word for name, value in same.items() for word in (f"--{name}", str(value))]
        command = [*self._command, *told, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("{"):
                    yield json.loads(line)
            assert process.stderr is not None
            error = process.stderr.read()
        if process.returncode:
            sys.exit(f"the peer ended with {process.returncode}: {error[-2000:]}")


def speed(
    data: RunData, chosen: Mapping[str, Any], peer: PeerProcess | None, repeats: int, peer_steps: int, bar: Any
) -> dict[str, float]:
    """Tokens a second of both, who have item vectors of ids alone."""
    config = TransformerConfig(**(dict(chosen) | {"items": "id", "epochs": 1}))
    s = data.sequences
    # As many users as the peer's steps of 128 sequences.
    some = s.take(np.random.default_rng(0).permutation(s.n_users)[: peer_steps * 128])
    n_tokens = int(np.maximum(np.diff(some.offsets) - 1, 0).sum())
    ours, theirs = [], []
    for repeat in range(repeats):
        began = time.perf_counter()
        Transformer(config).fit(TrainingData(some, len(data.item_nos)), TrainingOptions(repeat, get_device()))
        ours.append(n_tokens / (time.perf_counter() - began))
        if peer is not None:
            first, second = peer.epochs(config, "--steps", str(peer_steps), "--epochs", "2")
            theirs.append(second["tokens"] / (second["seconds"] - first["seconds"]))
        bar(repeat + 1, repeats, f"{ours[-1]:,.0f} tokens a second")
    results = {"tokens_per_s": float(np.median(ours))}
    if theirs:
        results["peer_tokens_per_s"] = float(np.median(theirs))
        results["ratio"] = results["tokens_per_s"] / results["peer_tokens_per_s"]
    return results


def time_to(
    data: RunData, chosen: Mapping[str, Any], peer: PeerProcess | None, share: float, limit: float, seed: int, bar: Any
) -> dict[str, float]:
    """Seconds until a share of our final NDCG@10, and the peer's until the same NDCG@10."""
    config, began = TransformerConfig(**chosen), time.perf_counter()
    reached: list[tuple[float, float]] = []

    def note(measured: Mapping[str, float]) -> None:
        reached.append((time.perf_counter() - began, measured["ndcg@10"]))

    model = Transformer(config)
    told = TrainingOptions(seed, get_device(), bar, measured=note)
    final = model.fit(TrainingData(data.sequences, len(data.item_nos), data.content, data.targets), told)["ndcg@10"]
    wanted = share * final
    ours = next(seconds for seconds, ndcg in reached if ndcg >= wanted)
    results = {
        "validation.ndcg@10": final,
        "wanted.ndcg@10": wanted,
        "seconds_to_wanted": ours,
        "seconds_to_final": reached[-1][0],
    }
    if peer is None:
        return results
    arguments = ("--until", str(wanted), "--max-seconds", str(limit * ours), "--seed", str(seed), "--patience", "1000")
    best, seconds = 0.0, 0.0
    for epoch in peer.epochs(config, *arguments, "--epochs", "1000"):
        best, seconds = max(best, epoch["ndcg@10"]), epoch["seconds"]
        bar(1, 1, f"peer after {seconds:.0f} s: {epoch['ndcg@10']:.4f}")
    # Where it did not get there, its time and the ratio are at least what they say.
    return results | {
        "peer.ndcg@10": best,
        "peer.is_there": float(best >= wanted),
        "peer_seconds": seconds,
        "time_ratio": seconds / ours,
    }


if __name__ == "__main__":
    main()
