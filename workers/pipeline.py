"""The pipeline: runs, made stage by stage, found again when their input has not changed, and gone on with when stopped.

What is stopped or killed is gone on with for a day, also when a little more has happened meanwhile, or a database in
use would never see the end of a long training; what is new is then for the runs after it.

A whole refresh is three runs: on the validation cut (it chooses the number of epochs and the fusion weights), on the
test cut (it is measured once), and on everything (it is published).
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import psycopg

from recsql import __version__
from recsql.activity import refresh_activity
from recsql.errors import NotFoundError, PipelineError
from recsql.queries import QUERIES
from recsql.settings import get_settings
from workers.promotions import with_promoted
from workers.run import Part, PipelineConfig, Progress, Run
from workers.stages import STAGES, stages_of
from workers.versions import check_needs

__all__ = ["Pipeline", "PipelineConfig", "Refresh"]

logger = logging.getLogger(__name__)

STOPPED = "stopped by Ctrl-C"
"""The error of a run that was."""


@dataclass
class Refresh:
    """What a whole refresh made: the numbers of its runs and policy, and seconds by stage.

    Attributes:
        is_new: False when what is served was made from the same input already.
    """

    validation_run_no: int
    test_run_no: int
    run_no: int
    policy_no: int
    seconds: dict[str, float] = field(default_factory=dict)
    is_new: bool = True


@dataclass(frozen=True)
class _Earlier:
    """A run whose models are kept: its number, what it has seen, and its models' options."""

    run_no: int
    fingerprint: str
    models: dict[str, dict[str, Any]]


class Pipeline:
    """Makes runs.

    Args:
        connection: in autocommit mode, with pgvector registered.
        config: what to do.
        bar: called for each stage with its name, returns the stage's progress callback.
        notice: told what whoever waits should know.
        processes: by how many models are trained that learn by gradients; ``RECSQL_PROCESSES`` when None.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        config: PipelineConfig | None = None,
        bar: Callable[[str], Progress] = lambda stage: lambda done, total, note: None,
        notice: Callable[[str], None] = logger.info,
        processes: int | None = None,
    ) -> None:
        self.connection = connection
        self.config = config or PipelineConfig()
        self.bar = bar
        self.notice = notice
        self.processes = processes or get_settings().processes
        self.seconds: dict[str, float] = {}

    def refresh(self) -> Refresh:
        """Choose on validation, measure on test, publish on everything; what is done already is left as it is."""
        begun_on = self._begun_on(("validation", "test", "production"))
        validation, test = self._measure(begun_on)
        run_no, is_new = self._publish(None, begun_on)
        policy_no, _ = self._chosen()
        return Refresh(validation, test, run_no, policy_no, self.seconds, is_new)

    def measure(self) -> tuple[int, int]:
        """Choose on validation and measure on test; the numbers of both runs."""
        return self._measure(self._begun_on(("validation", "test")))

    def publish(self, since: int | None = None) -> tuple[int, bool]:
        """Make the run on everything and serve it; its number, and whether it was not served yet.

        Other slots whose fusion policy was chosen get a run of their own, with the same models.

        Args:
            since: the run whose models are kept; see :meth:`run`.
        """
        return self._publish(since, None)

    def _measure(self, begun_on: str | None) -> tuple[int, int]:
        return self.run("validation", begun_on=begun_on), self.run("test", begun_on=begun_on)

    def _publish(self, since: int | None, begun_on: str | None) -> tuple[int, bool]:
        run_no = self.run("production", since=since, begun_on=begun_on)
        is_new = self._serve(run_no, "default")
        for slot, policy_no in self.connection.execute(QUERIES["fusion_choices"]).fetchall():
            if slot != "default":
                self._serve(self.run("production", since=run_no, policy_no=policy_no), slot)
        # What is trending goes with what is recommended, also where no worker runs.
        refresh_activity(self.connection)
        return run_no, is_new

    def use(self, policy_no: int, slot: str) -> tuple[int, bool]:
        """Have a slot's runs fused by a policy from now on; the number of the first, and whether it was not served yet.

        That run is on everything and keeps the models of what slot ``default`` serves, if that serves anything. The
        policy is the slot's only once its run is complete.

        Args:
            policy_no: number of a fusion policy.
            slot: what is to serve by it.

        Raises:
            PipelineError: nothing at all comes of the policy, though sources propose something.
        """
        served = self.connection.execute(QUERIES["since_run"], {"run_no": None}).fetchone()
        run_no = self.run("production", since=served and served[0], policy_no=policy_no)
        if self._one("fuses_nothing", run_no=run_no):
            raise PipelineError(
                f"The policy has nothing to say of run {run_no}, in which none of its sources is active: enable one by "
                f"'recsql source enable', or use another policy. Slot {slot} serves what it did."
            )
        with self.connection.transaction():
            self.connection.execute(QUERIES["choose_fusion_policy"], {"slot": slot, "policy_no": policy_no})
            return run_no, self._serve(run_no, slot)

    def run(
        self,
        part: Part,
        until: str | None = None,
        *,
        wait: bool = False,
        since: int | None = None,
        policy_no: int | None = None,
        begun_on: str | None = None,
    ) -> int:
        """Make a run, go on with it where it was stopped, or find it complete; returns its number.

        With ``since`` the run keeps the models of an earlier one: their versions are taken over where their options are
        the same, with vectors of users computed for those alone of whom something has changed, and what a model without
        vectors said of their candidates. The run itself is returned where nothing has changed since at all.

        Args:
            part: which events it may see.
            until: the last stage to do; all stages when None.
            wait: for another process that is making the same run, and go on with what it made.
            since: number of a complete production run, of which ``part`` must be one as well; None to train.
            policy_no: the fusion policy of a test or production run; when None, what was chosen for slot ``default``.
            begun_on: digest of the data that the refresh began on which this is a part of; by itself when None.

        Raises:
            NotFoundError: there is no run ``since``.
            PipelineError: another process is making the same run, unless that is waited for, there is nothing to learn
                from, a model cannot be trained here, or ``since`` is no complete production run.
        """
        earlier = None if since is None else self._earlier(since)
        in_use = self.configuration()
        data, settings = self._input(in_use)
        # Runs that keep the models of another one are soon made again.
        may_go_on = since is None and policy_no is None
        # Of validation nothing is asked: it is what chooses. What it chose is input to the others.
        chosen, epochs = (None, {}) if part == "validation" else self._chosen()
        policy_no = policy_no or chosen
        policy = f"{policy_no} {self._one('policy_state', policy_no=policy_no)}"
        recipe = sha256(f"{part} {settings} {policy} {epochs}".encode()).hexdigest()
        fingerprint = f"{recipe}.{data}"
        begun_on = begun_on or (self._begun_on((part,), (data, settings)) if may_go_on else data)
        if may_go_on and begun_on != data:
            begun = {"settings": settings, "begun_on": begun_on, "part": part, "recipe": recipe}
            found = self.connection.execute(QUERIES["run_begun_on"], begun).fetchone()
            fingerprint = found[0] if found else fingerprint
        if earlier is not None:
            # A run has seen the same whether or not it took its models over.
            is_same = earlier.fingerprint.split()[0] == fingerprint
            if is_same and self._one("has_whole_artifacts", run_no=earlier.run_no):
                return earlier.run_no
            fingerprint = f"{fingerprint} since {earlier.run_no}"
        with self._only_one(fingerprint, wait):
            found = self.connection.execute(QUERIES["run_of_input"], {"fingerprint": fingerprint}).fetchone()
            if found and found[1] == "complete":
                return found[0]
            run_no = found[0] if found else self._begin(part, fingerprint, in_use)
            if may_go_on and not found:
                told = {"run_no": run_no, "settings": settings, "begun_on": begun_on}
                self.connection.execute(QUERIES["let_go_on"], told)
            run = Run(self.connection, run_no, part, in_use, policy_no, epochs, self.notice, self.processes)
            if earlier is not None:
                run.since_no, run.since_models = earlier.run_no, earlier.models
            self._do_stages(run, until)
        return run_no

    def configuration(self) -> PipelineConfig:
        """What the next run does: the configurations of promoted versions stand in place of the defaults.

        Raises:
            ConfigurationError: an option does not go with a promoted one.
            ModelError: this release does not accept a promoted configuration.
        """
        return with_promoted(self.connection, self.config)

    def _input(self, config: PipelineConfig) -> tuple[str, str]:
        """Digests of the data, and of everything else that a run's outcome depends on but what validation chose."""
        row = self.connection.execute(QUERIES["input_state"]).fetchone()
        assert row is not None
        read = f"{row[1]} {json.dumps(vars(config), sort_keys=True)} {__version__}"
        return row[0], sha256(read.encode()).hexdigest()

    def _begun_on(self, parts: Sequence[Part], known: tuple[str, str] | None = None) -> str:
        """Digest of the data that the last refresh of these parts began on if it was stopped, else of those of now.

        Args:
            parts: in one of which it may have been stopped.
            known: what :meth:`_input` gives.
        """
        data, settings = known or self._input(self.configuration())
        asked = {"settings": settings, "stopped": STOPPED}
        row = self.connection.execute(QUERIES["interrupted_run"], asked).fetchone()
        if row is None:
            return data
        fingerprint, begun_on, part, run_no, started_at, stage = row
        # Who makes a run at the moment has its lock.
        if begun_on == data or part not in parts or not self._one("lock_run", fingerprint=fingerprint):
            return data
        self._one("unlock_run", fingerprint=fingerprint)
        self.notice(
            f"Run {run_no} ({part}) of {started_at:%Y-%m-%d %H:%M} was stopped at its stage {stage} and is gone on "
            "with; what has come since then is no part of it."
        )
        return begun_on

    def _begin(self, part: Part, fingerprint: str, config: PipelineConfig) -> int:
        split_no = None if part == "production" else self._one("make_split", protocol=self.config.protocol, part=part)
        read = json.dumps(vars(config), sort_keys=True)
        return self._one("begin_run", split_no=split_no, fingerprint=fingerprint, config=read)

    def _do_stages(self, run: Run, until: str | None) -> None:
        names = stages_of(run.part)
        done = {name for (name,) in self.connection.execute(QUERIES["stages_done"], {"run_no": run.run_no}).fetchall()}
        if "weights" in done:
            run.policy_no = self._one("latest_policy", run_no=run.run_no)
        wanted = names if until is None else names[: names.index(until) + 1]
        self._set_state(run.run_no, "running", None)
        try:
            if "train" in wanted and "train" not in done:
                check_needs(run.models())
            for name in wanted:
                if name not in done:
                    self._do_stage(run, name)
        except BaseException as error:
            if not self.connection.closed:
                is_stopped = isinstance(error, KeyboardInterrupt)
                reason = STOPPED if is_stopped else f"{type(error).__name__}: {error}"
                self._set_state(run.run_no, "failed", reason[:1000])
            raise
        self._set_state(run.run_no, "complete" if wanted == names else "running", None)

    def _do_stage(self, run: Run, name: str) -> None:
        bar = self.bar(f"{run.part}: {name}")
        self.connection.execute(QUERIES["begin_stage"], {"run_no": run.run_no, "stage": name})
        began = time.monotonic()
        n_rows = STAGES[name](run, bar)
        seconds = time.monotonic() - began
        bar(1, 1, f"{n_rows:,} rows")
        self.seconds[f"{run.part}: {name}"] = seconds
        told = {"run_no": run.run_no, "stage": name, "n_rows": n_rows, "seconds": seconds}
        self.connection.execute(QUERIES["record_stage"], told | {"detail": json.dumps(run.details)})
        logger.info("stage done", extra=told | {"detail": run.details})
        run.details = {}

    def _chosen(self) -> tuple[int, dict[str, int]]:
        """Policy and epochs by model: the owner's choice, else the newest validation's, else reciprocal rank fusion."""
        row = self.connection.execute(QUERIES["chosen"], {"protocol": self.config.protocol}).fetchone()
        return (row[0], row[1]) if row else (self._one("default_policy"), {})

    def _serve(self, run_no: int, slot: str) -> bool:
        """Serve a run in a slot; whether it was not served there yet."""
        return self.connection.execute(QUERIES["publish_new"], {"run_no": run_no, "slot": slot}).fetchone() is not None

    def _earlier(self, run_no: int) -> "_Earlier":
        row = self.connection.execute(QUERIES["since_run"], {"run_no": run_no}).fetchone()
        if row is None:
            raise NotFoundError(f"There is no run {run_no}: 'recsql status' shows the newest ones.")
        _, state, is_production, fingerprint, config = row
        if not is_production or state != "complete":
            told = state if is_production else "an offline run"
            raise PipelineError(
                f"Run {run_no} is {told}: only the models of a complete production run can be kept. "
                "'recsql status' shows the newest runs; 'recsql run' trains."
            )
        return _Earlier(run_no, fingerprint, config.get("models", {}))

    @contextmanager
    def _only_one(self, fingerprint: str, wait: bool) -> Iterator[None]:
        """A lock that ends with the connection, so that a killed process leaves nothing to clear away."""
        if wait:
            self._one("wait_for_run", fingerprint=fingerprint)
        elif not self._one("lock_run", fingerprint=fingerprint):
            raise PipelineError("Another process is making this run: wait for it, or see 'recsql status'.")
        try:
            yield
        finally:
            if not self.connection.closed:
                self._one("unlock_run", fingerprint=fingerprint)

    def _set_state(self, run_no: int, state: str, error: str | None) -> None:
        self.connection.execute(QUERIES["end_run"], {"run_no": run_no, "state": state, "error": error})

    def _one(self, query: str, **parameters: Any) -> Any:
        row = self.connection.execute(QUERIES[query], parameters or None).fetchone()
        assert row is not None
        return row[0]
