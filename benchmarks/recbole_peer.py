"""RecBole's BERT4Rec, GRU4Rec and NeuMF on data from a file, for an interpreter with RecBole and none of this project.

RecBole 1.2.1 wants other releases of numpy and pandas than we do, so it lives in an environment of its own::

    python3.11 -m venv .venv-recbole
    .venv-recbole/bin/pip install torch==2.13.0
    .venv-recbole/bin/pip install recbole==1.2.1 'numpy<2' 'pandas<3'

``python recbole_peer.py DATA.npz OPTIONS`` reads a :class:`peer_data.PeerData` and prints one JSON object a line
after each epoch: ``epoch``, ``seconds`` (of training alone) and, where DATA has held-out items, ``ndcg@10``, or with
``--steps`` the ``share`` of an epoch that was trained. With ``--scores`` it writes the scores of the last epoch,
float32 ``(n_users, n_items)``, NaN for an item that nobody had. :mod:`benchmarks.neural_peers` and
:mod:`benchmarks.auc` call it.

Model, data set with its augmentation (a sequence becomes one example an event), sampling, batches, trainer and early
stopping are RecBole's. Ours is what the trainer asks after an epoch: not RecBole's own metrics, which know one target a
user, but NDCG@10 of all held-out items. Settings are RecBole's defaults but for those that are given.
"""

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from peer_data import PeerData
from recbole.config import Config
from recbole.data import create_dataset, create_samplers
from recbole.data.interaction import Interaction
from recbole.data.utils import get_dataloader
from recbole.trainer import Trainer
from recbole.utils import get_model, init_seed

MODELS = {"bert4rec": "BERT4Rec", "gru4rec": "GRU4Rec", "neumf": "NeuMF"}
_NAME = "run"


def main() -> None:
    """Train and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="npz of a PeerData")
    parser.add_argument("--model", choices=sorted(MODELS), required=True)
    parser.add_argument("--max-length", type=int, default=50, help="events of a user that a sequential model reads")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--patience", type=int, default=10, help="epochs without a better ndcg@10")
    parser.add_argument("--set", type=json.loads, default={}, help="further settings of RecBole, as JSON")
    parser.add_argument("--steps", type=int, help="batches of an epoch; all when left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--scores", type=Path, help="npy to write the scores to")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        Peer(options, Path(folder)).train()


class Peer:
    """One training.

    Args:
        options: of the command.
        folder: for RecBole's files.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.data = data = PeerData.load(options.data)
        is_sequential = options.model != "neumf"
        lengths = np.diff(data.offsets)
        # RecBole keeps times as float32, so that places in a history are told apart where seconds are not.
        places = np.arange(len(data.items)) - np.repeat(data.offsets[:-1], lengths)
        frame = pd.DataFrame(
            {
                "user_id:token": np.repeat(np.arange(data.n_users), lengths),
                "item_id:token": data.items,
                "timestamp:float": places,
            }
        )
        (folder / _NAME).mkdir()
        frame.to_csv(folder / _NAME / f"{_NAME}.inter", sep="\t", index=False)
        self.config = Config(
            model=MODELS[options.model],
            dataset=_NAME,
            config_dict={
                "data_path": str(folder),
                "checkpoint_dir": str(folder / "saved"),
                "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
                # Whatever the run knows is trained on; what is held out RecBole never sees.
                "eval_args": {"split": {"RS": [1, 0, 0]}, "order": "TO", "group_by": "user", "mode": "full"},
                "MAX_ITEM_LIST_LENGTH": options.max_length,
                "epochs": options.epochs,
                "stopping_step": options.patience - 1,
                "seed": options.seed,
                "show_progress": False,
                "state": "ERROR",
                **({"train_neg_sample_args": None} if is_sequential else {}),
                **options.set,
            },
        )
        init_seed(self.config["seed"], self.config["reproducibility"])
        dataset = create_dataset(self.config)
        self.known = np.unique(data.items)
        # What RecBole calls items and users, from 1; 0 is padding, and an item that nobody had.
        self.item_ids = np.zeros(data.n_items, dtype=np.int64)
        self.item_ids[self.known] = dataset.token2id("item_id", self.known.astype(str))
        self.user_ids = dataset.token2id("user_id", np.arange(data.n_users).astype(str))
        built = dataset.build()
        sampler, _, _ = create_samplers(self.config, dataset, built)
        self.batches = get_dataloader(self.config, "train")(self.config, built[0], sampler, shuffle=True)
        init_seed(self.config["seed"], self.config["reproducibility"])
        self.model = get_model(self.config["model"])(self.config, self.batches.dataset).to(self.config["device"])

    def train(self) -> None:
        """Train to the end, and write the scores if asked."""
        trainer = Measured(self)
        is_measured = len(self.data.relevant) > 0 and not self.options.steps
        # The trainer asks whether there is something to validate on, and then only what it does with it.
        trainer.fit(self.batches, valid_data=is_measured, verbose=False, saved=False)
        if self.options.scores:
            everybody = np.arange(self.data.n_users)
            np.save(self.options.scores, self.scores(everybody))

    @torch.no_grad()
    def scores(self, users: np.ndarray) -> np.ndarray:
        """Scores of all items for some user rows, shape ``(len(users), n_items)``, NaN for an item that nobody had."""
        self.model.eval()
        device = self.config["device"]
        found = np.full((len(users), self.data.n_items), np.nan, dtype=np.float32)
        for start in range(0, len(users), 100):
            some = users[start : start + 100]
            if self.options.model == "neumf":
                pairs = {
                    "user_id": torch.from_numpy(np.repeat(self.user_ids[some], len(self.known))),
                    "item_id": torch.from_numpy(np.tile(self.item_ids[self.known], len(some))),
                }
                of_known = self.model.predict(Interaction(pairs).to(device)).reshape(len(some), -1)
            else:
                of_all = self.model.full_sort_predict(self.histories(some).to(device))
                of_known = of_all[:, self.item_ids[self.known]]
            found[start : start + len(some), self.known] = of_known.cpu().numpy()
        return found

    def histories(self, users: np.ndarray) -> Interaction:
        """The latest events of each user, padded behind, as RecBole's data set would give them."""
        longest = self.options.max_length
        items, lengths = np.zeros((len(users), longest), dtype=np.int64), np.zeros(len(users), dtype=np.int64)
        for row, user in enumerate(users):
            latest = self.item_ids[self.data.of(user)[-longest:]]
            items[row, : len(latest)], lengths[row] = latest, len(latest)
        return Interaction({"item_id_list": torch.from_numpy(items), "item_length": torch.from_numpy(lengths)})


class Measured(Trainer):
    """RecBole's trainer, which reports each epoch and is told how good it is by our measure.

    Args:
        peer: whose model is trained.
    """

    def __init__(self, peer: Peer) -> None:
        super().__init__(peer.config, peer.model)
        self.peer = peer
        self.seconds = 0.0
        self.epoch = 0

    def _train_epoch(self, train_data: Any, epoch_idx: int, loss_func: Any = None, show_progress: bool = False) -> Any:
        batches = itertools.islice(train_data, self.peer.options.steps)
        began = time.perf_counter()
        loss = super()._train_epoch(batches, epoch_idx, loss_func, show_progress)
        self.seconds += time.perf_counter() - began
        self.epoch = epoch_idx + 1
        told: dict[str, float] = {"epoch": self.epoch, "seconds": self.seconds}
        if self.peer.options.steps:
            told["share"] = min(1.0, self.peer.options.steps / len(train_data))
        if not len(self.peer.data.relevant) or self.peer.options.steps:
            print(json.dumps(told), flush=True)
        return loss

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> tuple[float, dict[str, float]]:
        ndcg = self.peer.data.ndcg(self.peer.scores)
        print(json.dumps({"epoch": self.epoch, "seconds": self.seconds, "ndcg@10": ndcg}), flush=True)
        return ndcg, {"ndcg@10": ndcg}


if __name__ == "__main__":
    main()
