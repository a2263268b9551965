"""Neural recommenders of other libraries on our split: ``python -m benchmarks.neural_peers --json --save``.

RecTools' SASRec and eSASRec, RecBole's BERT4Rec, GRU4Rec and NeuMF, each in an interpreter of its own that has the
library (``--rectools-python``, ``--recbole-python``; the scripts that they run say how to make it). Figures and their
names are those of :mod:`benchmarks.models`, and so is the protocol: a peer is trained on the validation run, where
NDCG@10 of all held-out items in the whole catalogue chooses its settings and its number of epochs, then on the test run
for as many, which is read once. Users of whom a run knows nothing count 0. What is held out in the test run no peer is
given.

Ours had a few settings tried on validation, so peers have a grid too, around what their authors published for
MovieLens 1M. RecTools: 2 blocks, 64 wide, 1 head, eSASRec with 256 negatives, dropout 0.1 or 0.3. RecBole: its
defaults, the default learning rate or the higher one that its authors found best, and NeuMF with or without its
factorisation. On ML-100K RecTools reads 100 events, as ours do, in place of 200. Batches are smaller there, or an epoch
would have 8 and 48 steps: 32 users in place of RecTools' 128, 256 examples in place of RecBole's 2,048 (but for
NeuMF). ``--options`` replaces a peer's settings, a list being a grid. RecTools learns
from the latest ``max-length`` events of a user alone, RecBole from all of them, ``max-length`` at a time.

``seconds`` is training on the validation run in the chosen settings, without measuring. With ``--save`` each peer is
written once it is measured; the figures of others stay, each with the command that they came from.

With ``--steps`` nothing is chosen or ranked: ``epoch_seconds`` says how long an epoch of the validation run takes in
the first of a peer's settings, extrapolated from so many batches.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import DATASETS, pipeline_on
from benchmarks.models import Split, figures
from benchmarks.peer_process import PeerProcess, peer_data
from benchmarks.peers import Part, Scorer
from benchmarks.report import Collected, Report, make_parser
from recsql.cli.output import progress_bars
from workers.commands import stage_bars
from workers.interactions import RunData

Bar = Callable[[int, int, str], None]


@dataclass(frozen=True)
class NeuralPeer:
    """A model of a library.

    Attributes:
        library: a key of ``benchmarks.peer_process.LIBRARIES``.
        model: its name there.
        grid: values of each setting.
    """

    library: str
    model: str
    grid: Mapping[str, tuple[Any, ...]]

    def arguments(self, replaced: Mapping[str, Any]) -> list[tuple[dict[str, Any], list[str]]]:
        """Every combination of settings, and how the script is told.

        Args:
            replaced: settings in the place of the grid's or beside them, a list being several values.
        """
        grid = {
            **self.grid,
            **{name: value if isinstance(value, list) else [value] for name, value in replaced.items()},
        }
        combinations = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
        return [(settings, ["--model", self.model, *self._told(settings)]) for settings in combinations]

    def _told(self, settings: Mapping[str, Any]) -> list[str]:
        if self.library == "rectools":
            return [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        own = {name: value for name, value in settings.items() if name != "max-length"}
        length = ["--max-length", str(settings["max-length"])] if "max-length" in settings else []
        return [*length, "--set", json.dumps(own)]


_RECTOOLS = {"dim": (64,), "layers": (2,), "heads": (1,), "max-length": (200,), "dropout": (0.1, 0.3)}
_RECBOLE = {"max-length": (50,), "learning_rate": (0.001, 0.005)}
NEURAL_PEERS = {
    "rectools-sasrec": NeuralPeer("rectools", "sasrec", _RECTOOLS),
    "rectools-esasrec": NeuralPeer("rectools", "esasrec", _RECTOOLS),
    "recbole-bert4rec": NeuralPeer("recbole", "bert4rec", _RECBOLE),
    "recbole-gru4rec": NeuralPeer("recbole", "gru4rec", _RECBOLE),
    "recbole-neumf": NeuralPeer("recbole", "neumf", {"learning_rate": (0.001,), "mf_train": (True, False)}),
}
"""The peers by the name of their figures."""

OF_DATASET: dict[str, dict[str, dict[str, Any]]] = {
    "ml-100k": {
        "rectools-sasrec": {"max-length": 100, "batch-size": 32},
        "rectools-esasrec": {"max-length": 100, "batch-size": 32},
        "recbole-bert4rec": {"train_batch_size": 256},
        "recbole-gru4rec": {"train_batch_size": 256},
    }
}
"""Settings that replace a peer's on a data set."""


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-100k")
    parser.add_argument("--protocol", choices=("loo", "global"), default="loo")
    parser.add_argument("--peers", nargs="+", choices=list(NEURAL_PEERS), default=list(NEURAL_PEERS))
    parser.add_argument("--rectools-python", type=Path, help="interpreter that has RecTools")
    parser.add_argument("--recbole-python", type=Path, help="interpreter that has RecBole")
    parser.add_argument("--options", type=json.loads, default={}, help='settings as JSON, {"PEER": {…}}')
    parser.add_argument("--patience", type=int, default=10, help="epochs without a better ndcg@10 on validation")
    parser.add_argument("--steps", type=int, help="batches from which to tell how long an epoch takes, and no more")
    options = parser.parse_args()
    label = f"{options.dataset}-epoch" if options.steps else options.dataset
    report = Report("neural_peers", label, options.protocol, options.seed)
    with pipeline_on(options.dataset, protocol=options.protocol) as pipeline:
        split = Split.read(pipeline)
    collected = Collected(report, options.save)
    for name in options.peers:
        peer = NEURAL_PEERS[name]
        python = {"rectools": options.rectools_python, "recbole": options.recbole_python}[peer.library]
        with tempfile.TemporaryDirectory() as folder, progress_bars() as progress:
            trained = Trained(peer, python, Path(folder), options.seed)
            settings = OF_DATASET.get(options.dataset, {}).get(name, {}) | options.options.get(name, {})
            bar = stage_bars(progress)(name)
            if options.steps:
                collected.add(name, trained.speed(split.validation, settings, options.steps))
                continue
            found = trained.choose(split.validation, split.asked_of_validation, settings, options.patience, bar)
            collected.add(name, found | figures(split.asked_of_test, trained.scorer(split.test, bar), options.seed))


class Trained:
    """A peer on both runs.

    Args:
        peer: what is trained.
        python: interpreter that has its library.
        folder: for its data and scores.
        seed: of its training.
    """

    def __init__(self, peer: NeuralPeer, python: Path | None, folder: Path, seed: int) -> None:
        self.peer, self.folder, self._python = peer, folder, python
        self._seed = ["--seed", str(seed)]
        self._best: tuple[int, list[str]] = (0, [])

    def speed(self, data: RunData, replaced: Mapping[str, Any], n_steps: int) -> dict[str, float]:
        """How long an epoch of a run takes, from a second one of ``n_steps`` batches, when all is warm."""
        process = PeerProcess(self.peer.library, self._python, self.folder / "speed", peer_data(data))
        _, arguments = self.peer.arguments(replaced)[0]
        first, second = process.epochs(*arguments, *self._seed, "--epochs", "2", "--steps", str(n_steps))
        return {"epoch_seconds": (second["seconds"] - first["seconds"]) / second["share"]}

    def choose(
        self, data: RunData, asked: Part, replaced: Mapping[str, Any], patience: int, bar: Bar
    ) -> dict[str, float]:
        """The best settings and number of epochs on the validation run, and what they give there.

        Args:
            data: of the validation run.
            asked: what is asked of it.
            replaced: settings in the place of the peer's own, a list being several values.
            patience: epochs without a better NDCG@10 after which a training ends.
            bar: called after each epoch.

        Returns:
            ``validation.ndcg@10``, ``epochs``, ``seconds`` and the settings.
        """
        process = PeerProcess(self.peer.library, self._python, self.folder / "validation", peer_data(data, asked))
        combinations, best = self.peer.arguments(replaced), -1.0
        found: dict[str, float] = {}
        for done, (settings, arguments) in enumerate(combinations):
            told = []
            for epoch in process.epochs(*arguments, *self._seed, "--patience", str(patience)):
                told.append(epoch)
                bar(done, len(combinations) + 1, f"{settings}, epoch {len(told)}: {epoch['ndcg@10']:.4f}")
            of_settings = max(told, key=lambda epoch: epoch["ndcg@10"])
            if of_settings["ndcg@10"] > best:
                best = of_settings["ndcg@10"]
                self._best = int(of_settings["epoch"]), arguments
                found = {
                    "validation.ndcg@10": best,
                    "epochs": of_settings["epoch"],
                    "seconds": told[-1]["seconds"],
                    **{name: float(value) for name, value in settings.items()},
                }
        return found

    def scorer(self, data: RunData, bar: Bar) -> Scorer:
        """Scores after a training on another run, in the settings and for the epochs that were chosen."""
        n_epochs, arguments = self._best
        process = PeerProcess(self.peer.library, self._python, self.folder / "test", peer_data(data))
        path = (self.folder / "scores.npy").absolute()
        told = [*arguments, *self._seed, "--epochs", str(n_epochs), "--scores", str(path)]
        for epoch in process.epochs(*told):
            bar(1, 1, f"test run, epoch {epoch['epoch']:.0f} of {n_epochs}")
        scores = np.load(path)
        return lambda rows: scores[rows.start : rows.stop]


if __name__ == "__main__":
    main()
