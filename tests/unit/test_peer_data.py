"""What peers in other interpreters are given and measured by, by hand."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from benchmarks import peer_data as peer_data_file
from benchmarks.neural_peers import NeuralPeer, Trained
from benchmarks.peer_data import PeerData, quality
from benchmarks.peer_process import LIBRARIES, Library, PeerProcess, peer_data
from benchmarks.peers import Part, measure
from recsql.errors import ConfigurationError
from workers.interactions import RunData
from workers.models.base import Sequences

# 1 / log2(2), 1 / log2(3), 1 / log2(4): what a hit at the first, second and third place is worth.
FIRST, SECOND, THIRD = 1.0, 0.6309297535714575, 0.5


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


# Users had items 0, 1 and 2 and 3; user 1 is asked nothing, one more user is new.
DATA = PeerData(5, rows(0, 1, 2, 3), rows(0, 1, 2, 4), rows(1, 4, 0), rows(0, 2, 2, 3), n_new=1)
SCORES = np.array(
    [
        # Had 0; then 2, 1, 3, 4: relevant are 1 (second) and 4 (fourth).
        [9.0, 3, 4, 2, 1],
        [1.0, 1, 1, 1, 1],
        # Had 2 and 3; 0, 1 and 4 are alike, so relevant 0 comes third.
        [1.0, 1, 8, 8, 1],
    ]
)


def test_quality_ranks_what_the_user_had_not_and_counts_ties_against() -> None:
    fourth = 1 / np.log2(5)
    ndcg, recall = quality(SCORES[0], rows(0), rows(1, 4))
    assert ndcg == pytest.approx((SECOND + fourth) / (FIRST + SECOND))
    assert recall == 1
    assert quality(SCORES[2], rows(2, 3), rows(0)) == pytest.approx((THIRD, 1))


def test_quality_does_not_rank_what_has_no_score() -> None:
    scores = np.array([np.nan, 1.0, -np.inf, np.nan])
    # Items 0 and 2 have no score, so that only 1 is ranked, although there are places left.
    assert quality(scores, rows(3), rows(0, 1)) == pytest.approx((FIRST / (FIRST + SECOND), 0.5))
    assert quality(scores, rows(1), rows(2)) == (0, 0)
    assert np.isnan(scores[0])  # what was handed in is as it was


def test_quality_ends_after_ten() -> None:
    scores = -np.arange(20.0)
    # Item 9 is the tenth, item 10 the eleventh.
    assert quality(scores, rows(), rows(9)) == pytest.approx((1 / np.log2(11), 1))
    assert quality(scores, rows(), rows(10)) == (0, 0)


def test_peer_data_ndcg_is_the_mean_of_those_who_are_asked() -> None:
    of_first = (SECOND + 1 / np.log2(5)) / (FIRST + SECOND)
    # Users 0 and 2 are asked, and one who is new counts 0.
    assert DATA.asked.tolist() == [0, 2]
    assert DATA.ndcg(lambda users: SCORES[users]) == pytest.approx((of_first + THIRD) / 3)


def test_peer_data_ndcg_is_that_of_the_reports() -> None:
    rng = np.random.default_rng(0)
    histories = [rng.permutation(40)[: rng.integers(1, 20)].tolist() for _ in range(1200)]
    data = RunData(np.arange(40), np.arange(1200), Sequences.from_lists(histories))
    asked = np.flatnonzero(rng.random(1200) < 0.7)
    relevant = [np.setdiff1d(rng.permutation(40)[:5], histories[user]) for user in asked]
    asked, relevant = asked[[len(items) > 0 for items in relevant]], [items for items in relevant if len(items)]
    seen = _matrix(data.sequences, 40)
    part = Part(seen, asked, relevant, n_new=30)
    # Many ties, and items without a score.
    scores = rng.integers(0, 4, (1200, 40)).astype(np.float32)
    scores[scores == 3] = np.nan
    told = measure(part, lambda users: scores[users.start : users.stop])[:, 0].mean()
    assert 0.05 < told < 0.95
    assert peer_data(data, part).ndcg(lambda users: scores[users]) == pytest.approx(told)


def test_peer_data_of_a_run_has_each_users_own_held_out_items(tmp_path: Path) -> None:
    data = RunData(np.arange(5), np.arange(3), Sequences.from_lists([[0], [1], [2, 3]]))
    part = Part(None, rows(0, 2), [rows(1, 4), rows(0)], n_new=1)
    peer_data(data, part).save(tmp_path / "data.npz")
    read = PeerData.load(tmp_path / "data.npz")
    assert (read.n_items, read.n_users, read.n_new) == (5, 3, 1)
    assert [read.of(user).tolist() for user in range(3)] == [[0], [1], [2, 3]]
    assert [read.relevant_to(user).tolist() for user in range(3)] == [[1, 4], [], [0]]
    # Of the test run a peer is told nothing that is held out.
    secret = peer_data(data)
    assert len(secret.asked) == len(secret.relevant) == secret.n_new == 0


def test_peer_data_is_read_without_this_project(tmp_path: Path) -> None:
    DATA.save(tmp_path / "data.npz")
    folder = str(Path(peer_data_file.__file__).parent)
    program = (
        f"import sys; sys.path.insert(0, {folder!r}); from peer_data import PeerData; import pathlib;"
        f"data = PeerData.load(pathlib.Path({str(tmp_path / 'data.npz')!r}));"
        "print(data.n_users, sorted({name.partition('.')[0] for name in sys.modules} & {'recsql', 'workers', 'torch'}))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={})
    assert told.stdout == "3 []\n"


def test_peer_grid_is_every_combination_in_the_words_of_its_script() -> None:
    rectools = NeuralPeer("rectools", "sasrec", {"dim": (64,), "dropout": (0.1, 0.3)})
    assert [arguments for _, arguments in rectools.arguments({"max-length": 100})] == [
        ["--model", "sasrec", "--dim", "64", "--dropout", "0.1", "--max-length", "100"],
        ["--model", "sasrec", "--dim", "64", "--dropout", "0.3", "--max-length", "100"],
    ]
    recbole = NeuralPeer("recbole", "gru4rec", {"max-length": (50,), "learning_rate": (0.001,)})
    assert [arguments for _, arguments in recbole.arguments({"learning_rate": [0.01, 0.02]})] == [
        ["--model", "gru4rec", "--max-length", "50", "--set", '{"learning_rate": 0.01}'],
        ["--model", "gru4rec", "--max-length", "50", "--set", '{"learning_rate": 0.02}'],
    ]


def test_peer_without_an_interpreter_says_how_to_make_one(tmp_path: Path) -> None:
    for library, made in LIBRARIES.items():
        for python in (None, tmp_path / "nowhere"):
            with pytest.raises(ConfigurationError, match=f"{library}-python") as error:
                PeerProcess(library, python, tmp_path, DATA)
            assert made.environment in str(error.value)


def test_peer_that_fails_says_why_and_how_its_environment_is_made(tmp_path: Path) -> None:
    # This interpreter has no RecBole, nor what else the script imports.
    process = PeerProcess("recbole", Path(sys.executable), tmp_path / "data", DATA)
    with pytest.raises(ConfigurationError, match="No module named") as error:
        list(process.epochs("--model", "neumf"))
    assert LIBRARIES["recbole"].environment in str(error.value)


# Eight steps an epoch; epochs give 0.1 and then the setting x; the scores are the arguments of the training.
SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
data = dict(np.load(sys.argv[1]))
told = dict(zip(sys.argv[2::2], sys.argv[3::2]))
x = json.loads(told["--set"])["x"]
for epoch, ndcg in ((1, 0.1), (2, x), (3, x))[: int(told.get("--epochs", 3))]:
    measured = {"share": int(told["--steps"]) / 8} if "--steps" in told else {"ndcg@10": ndcg}
    print(json.dumps({"epoch": epoch, "seconds": 10.0 * epoch, **measured}))
if "--scores" in told:
    told_of = float(told["--epochs"]), x, float(told["--seed"]), float(len(data["relevant"]))
    np.save(told["--scores"], np.array([told_of] * 3, dtype=np.float32))
"""


def test_peer_is_trained_on_test_as_validation_chose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.setitem(LIBRARIES, "recbole", Library(str(tmp_path / "script.py"), ""))
    data = RunData(np.arange(5), np.arange(3), Sequences.from_lists([[0], [1], [2, 3]]))
    part = Part(None, rows(0, 2), [rows(1, 4), rows(0)])
    trained = Trained(NeuralPeer("recbole", "any", {"x": (0.2, 0.4, 0.3)}), Path(sys.executable), tmp_path, seed=7)
    bars: list[str] = []
    found = trained.choose(data, part, {}, 10, lambda done, total, note: bars.append(note))
    # 0.4 is best; it was there after two epochs and no better after three, which took 30 seconds.
    assert found == {"validation.ndcg@10": 0.4, "epochs": 2, "seconds": 30, "x": 0.4}
    assert len(bars) == 9
    # Two epochs, x, the seed, and nothing held out.
    scores = trained.scorer(data, lambda done, total, note: None)(range(1, 3))
    np.testing.assert_allclose(scores, [[2, 0.4, 7, 0]] * 2)
    # Two of eight steps take the 10 seconds of the second epoch.
    assert trained.speed(data, {}, 2) == {"epoch_seconds": 40}


def _matrix(sequences: Sequences, n_items: int) -> object:
    ones = np.ones(len(sequences.items), dtype=np.float32)
    return csr_matrix((ones, sequences.items, sequences.offsets), shape=(sequences.n_users, n_items))
