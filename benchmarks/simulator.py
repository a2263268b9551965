"""Learned policies and off-policy estimates held against the truth of the simulator.

``reward``: what a session is worth under policies that models learnt from one log, against the greedy supervised
ranker. ``sensitivity``: the same in changed environments. ``ope``: the error and the coverage of each estimator.
``gate``: which policies the verdict lets pass. Each has a report of its own; ``docs/simulator.md`` has the formulas.
"""

import sys

from benchmarks.report import Report, make_parser
from benchmarks.simulator_ope import measure_gate, measure_ope
from benchmarks.simulator_reward import VARIANTS, measure_reward

PARTS = ("reward", "sensitivity", "ope", "gate")


def _told(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure some parts, or all."""
    parser = make_parser(__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all when left out")
    parser.add_argument("--seeds", type=int, default=10, help="of reward: worlds, logs and trainings")
    parser.add_argument("--replications", type=int, default=200, help="of ope: logs of each cell")
    parser.add_argument("--models", help="of reward: only these, by commas")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    seed, models = arguments.seed, tuple(arguments.models.split(",")) if arguments.models else None
    for part in arguments.parts or PARTS:
        report = Report("simulator", part, seed=seed)
        match part:
            case "reward":
                results = measure_reward(seed, arguments.seeds, _told, models=models)
            case "sensitivity":
                results = {}
                for variant in VARIANTS:
                    found = measure_reward(seed, arguments.seeds, _told, variant, models)
                    results |= {f"{variant}.{name}": value for name, value in found.items()}
            case "ope":
                results = measure_ope(seed, arguments.replications, _told)
            case _:
                results = measure_gate(seed, _told)
        report.publish(results, arguments.save)


if __name__ == "__main__":
    main()
