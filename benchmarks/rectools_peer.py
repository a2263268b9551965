"""RecTools' SASRec and eSASRec on sequences from a file, for an interpreter that has RecTools and none of this project.

RecTools wants other releases of numpy than we do, so it lives in an environment of its own::

    python3 -m venv .venv-rectools
    .venv-rectools/bin/pip install torch==2.13.0 'rectools[torch]'

``python rectools_peer.py DATA.npz OPTIONS`` prints one JSON object a line after each epoch, ``epoch``, ``seconds`` (of
training alone), ``tokens`` (places with a target, padding not counted) and ``ndcg@10`` where DATA has targets, and with
``--vectors`` writes user and item vectors, whose inner product is the score, at the end. :mod:`benchmarks.training` and
:mod:`benchmarks.models` call it.
"""

import argparse
import json
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as lightning
import torch
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.transformers.ligr import LiGRLayers


def main() -> None:
    """Train and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="npz with items, offsets, n_items, and targets or none")
    parser.add_argument("--model", choices=("sasrec", "esasrec"), default="sasrec")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--max-length", type=int, default=200)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--learning-rate", type=float, default=0.001)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--patience", type=int, default=10, help="epochs without a better ndcg@10")
    parser.add_argument("--max-seconds", type=float, default=float("inf"), help="of training, after which it stops")
    parser.add_argument("--until", type=float, default=float("inf"), help="ndcg@10 at which it stops")
    parser.add_argument("--steps", type=int, help="batches of an epoch; all when left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--vectors", help="npz to write user and item vectors to")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore")
    lightning.seed_everything(options.seed)
    Peer(options).train()


class Peer:
    """One training."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        data = np.load(options.data)
        self.items, self.offsets, self.n_items = data["items"], data["offsets"], int(data["n_items"])
        self.targets = data.get("targets")
        lengths = np.diff(self.offsets)
        self.tokens = int(np.minimum(np.maximum(lengths - 1, 0), options.max_length).sum())
        frame = pd.DataFrame(
            {
                "user_id": np.repeat(np.arange(len(lengths)), lengths),
                "item_id": self.items,
                "weight": 1,
                # The order is all that is read.
                "datetime": pd.Timestamp("2000-01-01") + pd.to_timedelta(np.arange(len(self.items)), unit="s"),
            }
        )
        self.dataset = Dataset.construct(frame)
        self.model = SASRecModel(
            n_blocks=options.layers,
            n_heads=options.heads,
            n_factors=options.dim,
            session_max_len=options.max_length,
            dropout_rate=options.dropout,
            lr=options.learning_rate,
            batch_size=options.batch_size,
            get_trainer_func=self.trainer,
            **self.esasrec(),
        )

    def esasrec(self) -> dict[str, Any]:
        """What makes eSASRec of SASRec, as its authors give it."""
        if self.options.model == "sasrec":
            return {"loss": "softmax"}
        return {"loss": "sampled_softmax", "n_negatives": 256, "transformer_layers_type": LiGRLayers}

    def trainer(self) -> lightning.Trainer:
        """A trainer that reports each epoch."""
        return lightning.Trainer(
            accelerator="auto",
            max_epochs=self.options.epochs,
            limit_train_batches=self.options.steps or 1.0,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            logger=False,
            callbacks=[Clock(self)],
        )

    def train(self) -> None:
        """Train to the end, and write the vectors if asked."""
        self.model.fit(self.dataset)
        if self.options.vectors:
            users, items = self.vectors()
            np.savez(self.options.vectors, users=users, items=items)

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """User vectors, shape ``(n_users, dim)``, and item vectors, shape ``(n_items, dim)``, NaN where unknown."""
        preparator, module = self.model.data_preparator, self.model.lightning_model
        everybody = np.arange(len(self.offsets) - 1)
        loader = preparator.get_dataloader_recommend(preparator.transform_dataset_u2i(self.dataset, everybody), 256)
        users, items = module._get_user_item_embeddings(loader, None)
        module.train()
        placed = np.full((self.n_items, items.shape[1]), np.nan, dtype=np.float32)
        for row, external in enumerate(preparator.item_id_map.external_ids):
            if not isinstance(external, str):
                placed[external] = items[row].detach().cpu().numpy()
        return users.numpy(), placed

    def ndcg(self) -> float:
        """Mean NDCG@10 of the targets among the whole catalogue less what each has had; ties count against."""
        users, items = self.vectors()
        gains = []
        for user in np.flatnonzero(self.targets >= 0):
            scores = np.nan_to_num(items @ users[user], nan=-np.inf)
            wanted = scores[self.targets[user]]
            scores[self.items[self.offsets[user] : self.offsets[user + 1]]] = -np.inf
            scores[self.targets[user]] = wanted
            rank = int((scores >= wanted).sum())
            gains.append(1 / np.log2(rank + 1) if rank <= 10 and np.isfinite(wanted) else 0.0)
        return float(np.mean(gains))


class Clock(lightning.Callback):
    """Seconds of training, and when it is enough."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.seconds = 0.0
        self.epoch = 0
        self.best = (0.0, 0)
        self.began = 0.0

    def __deepcopy__(self, memo: Any) -> "Clock":
        """RecTools copies its trainer; the clock stays the same."""
        return self

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Start the clock."""
        self.began = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Stop the clock, measure, report."""
        self.seconds += time.perf_counter() - self.began
        self.epoch += 1
        options, peer = self.peer.options, self.peer
        share = 1.0 if not options.steps else options.steps / len(trainer.train_dataloader)
        told: dict[str, float] = {"epoch": self.epoch, "seconds": self.seconds, "tokens": peer.tokens * min(1.0, share)}
        if peer.targets is not None and not options.steps:
            told["ndcg@10"] = peer.ndcg()
            self.best = max(self.best, (told["ndcg@10"], self.epoch))
            stalled = self.epoch - self.best[1] >= options.patience
            trainer.should_stop = stalled or self.best[0] >= options.until
        trainer.should_stop = trainer.should_stop or self.seconds >= options.max_seconds
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
