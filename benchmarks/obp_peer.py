"""The Open Bandit Pipeline's estimates on its own data, for an interpreter that has it and none of this project.

It wants other releases of numpy and pandas than we do, so it lives in an environment of its own::

    python3.11 -m venv .venv-obp
    .venv-obp/bin/pip install torch==2.13.0
    .venv-obp/bin/pip install sb-obp==0.5.10
    .venv-obp/bin/pip install --force-reinstall --no-deps sb-obp==0.5.10

The last line because sb-obp brings an older obp along with pyieoe, whose files may lie over its own.

``python obp_peer.py OBD.zip OUT.npz OPTIONS`` evaluates Bernoulli Thompson sampling with the prior of production by
what the random policy logged, as obp's quick start does, prints one JSON object with obp's own estimates and intervals,
and writes what they are made of, shape ``(n_rounds,)`` each: ``rewards``, ``propensities``, ``target`` (propensity of
the logged item), ``predicted`` and ``expected``. :mod:`benchmarks.ope` calls it.
"""

import argparse
import json
import logging
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from obp.dataset import OpenBanditDataset
from obp.ope import (
    DirectMethod,
    DoublyRobust,
    DoublyRobustWithShrinkage,
    InverseProbabilityWeighting,
    RegressionModel,
    SelfNormalizedInverseProbabilityWeighting,
    SwitchDoublyRobust,
)
from obp.policy import BernoulliTS
from sklearn.linear_model import LogisticRegression


def main() -> None:
    """Evaluate and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zip", type=Path, help="the Open Bandit sample")
    parser.add_argument("out", type=Path, help="npz to write the arrays to")
    parser.add_argument("--campaign", default="all")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--threshold", type=float, default=10.0)
    parser.add_argument("--shrinkage", type=float, default=100.0)
    parser.add_argument("--seed", type=int, default=12345)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(options.zip) as archive:
            archive.extractall(folder)
        kwargs: dict[str, Any] = {"campaign": options.campaign, "data_path": Path(folder) / "obd"}
        dataset = OpenBanditDataset(behavior_policy="random", **kwargs)
        log = dataset.obtain_batch_bandit_feedback()
        on_policy = OpenBanditDataset.calc_on_policy_policy_value_estimate("bts", **kwargs)
    policy = BernoulliTS(
        n_actions=dataset.n_actions,
        len_list=dataset.len_list,
        is_zozotown_prior=True,
        campaign=options.campaign,
        random_state=options.seed,
    )
    actions = policy.compute_batch_action_dist(n_sim=100_000, n_rounds=log["n_rounds"])
    model = RegressionModel(
        n_actions=dataset.n_actions,
        len_list=dataset.len_list,
        action_context=dataset.action_context,
        base_model=LogisticRegression(random_state=options.seed),
    )
    rewards = model.fit_predict(
        context=log["context"],
        action=log["action"],
        reward=log["reward"],
        position=log["position"],
        pscore=log["pscore"],
        n_folds=options.folds,
        random_state=options.seed,
    )
    estimators = {
        "ips": InverseProbabilityWeighting(),
        "snips": SelfNormalizedInverseProbabilityWeighting(),
        "dm": DirectMethod(),
        "dr": DoublyRobust(),
        "switch_dr": SwitchDoublyRobust(lambda_=options.threshold),
        "dr_os": DoublyRobustWithShrinkage(lambda_=options.shrinkage),
    }
    given = {
        "reward": log["reward"],
        "action": log["action"],
        "position": log["position"],
        "pscore": log["pscore"],
        "action_dist": actions,
        "estimated_rewards_by_reg_model": rewards,
    }
    told: dict[str, Any] = {"on_policy": float(on_policy)}
    for name, estimator in estimators.items():
        found = estimator.estimate_interval(**given, n_bootstrap_samples=2000, random_state=options.seed)
        told[name] = {
            "value": float(estimator.estimate_policy_value(**given)),
            "lo": float(found["95.0% CI (lower)"]),
            "hi": float(found["95.0% CI (upper)"]),
        }
    rows = np.arange(log["n_rounds"])
    at = (rows, log["action"], log["position"])
    # As obp computes it: the propensities over the actions, brought to a sum of 1.
    chances = actions[rows, :, log["position"]]
    expected = (rewards[rows, :, log["position"]] * chances).sum(axis=1) / chances.sum(axis=1)
    np.savez(
        options.out,
        rewards=log["reward"].astype(np.float64),
        propensities=log["pscore"],
        target=actions[at],
        predicted=rewards[at],
        expected=expected,
    )
    print(json.dumps(told))


if __name__ == "__main__":
    main()
