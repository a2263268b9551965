"""The whole of ``recsql demo`` on a new embedded server: ``python -m benchmarks.demo --json``.

Time from the first command to the printed tables, once from nothing and once repeated, and the peak of the memory of
all its processes together, server included (proportional set sizes, sampled twice a second).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.report import Report, make_parser
from recsql.embedded import EmbeddedServer


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--source", choices=("movielens-100k", "simulated"), default="movielens-100k")
    options = parser.parse_args()
    report = Report("demo", options.source, seed=options.seed)
    home = Path(tempfile.mkdtemp(prefix="recsql-demo-"))
    home.chmod(0o755)
    try:
        first = _demo(home, options.source)
        again = _demo(home, options.source)
    finally:
        EmbeddedServer(home).stop()
        shutil.rmtree(home, ignore_errors=True)
    told, seconds, peak_mib = first
    results = {"seconds": seconds, "repeat.seconds": again[1], "peak_mib": max(peak_mib, again[2])}
    results |= {f"{stage}.seconds": value for stage, value in told["seconds"].items()}
    report.publish({name: round(value, 1) for name, value in results.items()}, options.save)


def _demo(home: Path, source: str) -> tuple[dict[str, dict[str, float]], float, float]:
    """What the demo printed, its seconds, and the peak memory in MiB."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    environment |= {"RECSQL_HOME": str(home)}
    environment.pop("RECSQL_DATABASE_URL", None)
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.cli", "demo", "--source", source, "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    peak, is_done = 0.0, threading.Event()

    def sample() -> None:
        nonlocal peak
        while not is_done.wait(0.5):
            peak = max(peak, _memory_mib(process.pid, home))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        output, _ = process.communicate()
    finally:
        is_done.set()
        sampler.join()
    if process.returncode:
        sys.exit(process.returncode)
    return json.loads(output), time.monotonic() - began, peak


def _memory_mib(pid: int, home: Path) -> float:
    """Proportional set size of the process and of the server in ``home`` with all its children."""
    pids = {pid}
    postmaster = next(iter(home.rglob("postmaster.pid")), None)
    if postmaster is not None:
        server = int(postmaster.read_text().split()[0])
        children = Path(f"/proc/{server}/task/{server}/children")
        pids |= {server, *map(int, children.read_text().split())} if children.exists() else {server}
    return sum(map(_pss_mib, pids))


def _pss_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
