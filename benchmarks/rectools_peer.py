"""RecTools' SASRec and eSASRec on sequences from a file, for an interpreter that has RecTools and none of this project.

RecTools wants other releases of numpy than we do, so it lives in an environment of its own::

    python3 -m venv .venv-rectools
    .venv-rectools/bin/pip install torch==2.13.0 'rectools[torch]'

``python rectools_peer.py DATA.npz OPTIONS`` reads a :class:`peer_data.PeerData` and prints one JSON object a line
after each epoch: ``epoch``, ``seconds`` (of training alone), ``tokens`` (places with a target, padding not counted)
and, where DATA has held-out items, ``ndcg@10``, or with ``--steps`` the ``share`` of an epoch that was trained. With
``--scores`` it writes the scores of the last epoch, float32 ``(n_users, n_items)``, NaN for an item that nobody had.
:mod:`benchmarks.training` and :mod:`benchmarks.neural_peers` call it.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as lightning
import torch
from peer_data import PeerData
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.transformers.ligr import LiGRLayers


def main() -> None:
    """Train and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="npz of a PeerData")
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
    parser.add_argument("--scores", type=Path, help="npy to write the scores to")
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
        self.data = data = PeerData.load(options.data)
        lengths = np.diff(data.offsets)
        self.tokens = int(np.minimum(np.maximum(lengths - 1, 0), options.max_length).sum())
        frame = pd.DataFrame(
            {
                "user_id": np.repeat(np.arange(data.n_users), lengths),
                "item_id": data.items,
                "weight": 1,
                # The order is all that is read.
                "datetime": pd.Timestamp("2000-01-01") + pd.to_timedelta(np.arange(len(data.items)), unit="s"),
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
        return {
            "loss": "sampled_softmax",
            "n_negatives": 256,
            "transformer_layers_type": LiGRLayers,
            "use_key_padding_mask": True,
        }

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
        """Train to the end, and write the scores if asked."""
        self.model.fit(self.dataset)
        if self.options.scores:
            everybody = np.arange(self.data.n_users)
            np.save(self.options.scores, self.scorer()(everybody))

    def scorer(self) -> Callable[[np.ndarray], np.ndarray]:
        """A function from user rows to the scores of all items, shape ``(len(rows), n_items)``, NaN where unknown."""
        preparator, module = self.model.data_preparator, self.model.lightning_model
        known = preparator.transform_dataset_u2i(self.dataset, np.arange(self.data.n_users))
        users, items = module._get_user_item_embeddings(preparator.get_dataloader_recommend(known, 256), None)
        module.train()
        placed = np.full((self.data.n_items, items.shape[1]), np.nan, dtype=np.float32)
        for row, external in enumerate(preparator.item_id_map.external_ids):
            # Special tokens, padding among them, are named by a string.
            if not isinstance(external, str):
                placed[external] = items[row].detach().cpu().numpy()
        of_users = np.full((self.data.n_users, users.shape[1]), np.nan, dtype=np.float32)
        of_users[known.user_id_map.external_ids] = users.numpy()
        return lambda rows: of_users[rows] @ placed.T


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
        share = min(1.0, share)
        told: dict[str, float] = {"epoch": self.epoch, "seconds": self.seconds, "tokens": peer.tokens * share}
        if options.steps:
            told["share"] = share
        if len(peer.data.relevant) and not options.steps:
            told["ndcg@10"] = peer.data.ndcg(peer.scorer())
            self.best = max(self.best, (told["ndcg@10"], self.epoch))
            stalled = self.epoch - self.best[1] >= options.patience
            trainer.should_stop = stalled or self.best[0] >= options.until
        trainer.should_stop = trainer.should_stop or self.seconds >= options.max_seconds
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
