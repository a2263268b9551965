"""The search for hyperparameters.

A trial trains the model on the events of the validation run and is as good as its NDCG@10 on what came next; nothing of
the test part is read. A study belongs to a model and to what it was tried on: it is found again as long as that has not
changed, and several processes, on several machines, may add trials to it at once.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from recsql.errors import ModelError, PipelineError
from workers.device import get_device
from workers.interrupts import Interrupts
from workers.model_options import first_problem
from workers.models.base import Model, Progress, TrainingData, TrainingOptions
from workers.models.registry import get_model
from workers.models.search import Choice, Range, Search
from workers.pipeline import Pipeline
from workers.run import Run
from workers.studies import open_study, storage_explained

METRIC = "ndcg@10"


@dataclass
class Tuned:
    """What a study has found.

    Attributes:
        study: its name in Optuna.
        model: name of the model.
        run_no: the validation run whose events were learned from.
        states: number of trials by state: complete, pruned, fail or running.
        best: number of the best trial, as ``trial``, and its ``ndcg@10``.
        options: those in use with the best trial's in their place, as ``RECSQL_MODEL_OPTIONS`` takes them.
        trials: all of them, those of other processes too.
    """

    study: str
    model: str
    run_no: int
    states: dict[str, int]
    best: dict[str, float] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    trials: list[dict[str, Any]] = field(default_factory=list)


def tune(
    pipeline: Pipeline,
    name: str,
    n_trials: int,
    timeout: float | None = None,
    bar: Progress = lambda done, total, note: None,
) -> Tuned:
    """Add trials to the study of a model, and tell what it has found so far.

    The first trial of a study is the configuration that is in use, if that lies where the search looks, so the best is
    never worse.

    Args:
        pipeline: makes the validation run, or finds it; its seed is that of the search and of training.
        name: of the model.
        n_trials: how many more trials this process makes.
        timeout: seconds after which no further trial begins; None for no limit.
        bar: called with the trials made, all of them, and a note.

    Raises:
        ModelError: the model declares no search space, or no trial succeeded.
        NotFoundError: there is no such model.
        PipelineError: there are no events, or none to choose by.
    """
    model_class = get_model(name)
    if not model_class.search:
        raise ModelError(f"Model {name} declares no search space: give its class 'search' (docs/adding-a-model.md).")
    run_no = pipeline.run("validation", until="popularity", wait=True)
    run = Run(pipeline.connection, run_no, "validation", pipeline.configuration())
    trials = _Trials(run, model_class, bar, n_trials)
    with trials.interrupts, storage_explained():
        tried_on = sha256(run.one("run_fingerprint").encode()).hexdigest()
        study = open_study(run.connection, f"{name} {tried_on[:16]}", trials.seed, trials.in_use())
        study.optimize(trials.objective, n_trials, timeout, catch=trials.failures, callbacks=[trials.told])
        tuned = _summary(study, name, run_no)
    in_use = run.config.models
    tuned.options = in_use | {name: in_use.get(name, {}) | tuned.options}
    return tuned


class _Trials:
    """What makes trials: the data, which is read once, and what all configurations have in common."""

    failures: tuple[type[Exception], ...] = (ModelError, MemoryError, np.linalg.LinAlgError)
    """What spoils a trial and not the study."""

    def __init__(self, run: Run, model_class: type[Model], bar: Progress, n_trials: int) -> None:
        self.model_class, self.seed, self.bar, self.n_trials = model_class, run.config.seed, bar, n_trials
        self.made = 0
        self.device = get_device()
        self.interrupts = Interrupts()
        self.fixed = run.config.models.get(model_class.name, {})
        if model_class.sources:
            # As in the stage that serves them: what a list reads is decided by its row.
            self.fixed = self.fixed | {"histories": [run.history(source) for source in model_class.sources]}
        data = run.data
        if data.targets is None:
            raise PipelineError("Nobody has an event after the validation cut, so there is nothing to choose by.")
        self.data = TrainingData(data.sequences, len(data.item_nos), data.content, data.targets)

    def objective(self, trial: optuna.Trial) -> float:
        """NDCG@10 of a configuration on what came after the events that it was trained on."""
        note = f"trial {trial.number}"
        self.bar(self.made, self.n_trials, note)

        def progress(done: int, total: int, told: str) -> None:
            self.bar(self.made, self.n_trials, f"{note}: {done} of {total}, {told}")

        def judge(measured: dict[str, float]) -> None:
            done = int(measured["epochs"])
            # At the end there is nothing left to save.
            if METRIC in measured and done < getattr(model.config, "epochs", done):
                with self.interrupts.held_back():
                    trial.report(measured[METRIC], done)
                    if trial.should_prune():
                        raise optuna.TrialPruned(f"after {done} epochs")

        try:
            model = self.new_model(draw(trial, self.model_class.search))
            with self.interrupts.allowed():
                told = TrainingOptions(self.seed, self.device, progress, measured=judge)
                figures = model.fit(self.data, told)
            if METRIC not in figures:
                raise ModelError(f"{self.model_class.name} does not measure {METRIC} where it is given targets")
        except (KeyboardInterrupt, *self.failures) as error:
            trial.set_user_attr("error", (str(error) or type(error).__name__)[:1000])
            raise
        return figures[METRIC]

    def new_model(self, options: dict[str, Any]) -> Model:
        """A model of this configuration.

        Raises:
            ModelError: its options do not go together.
        """
        try:
            return self.model_class(self.model_class.Config(**self.fixed | options))
        except ValidationError as error:
            raise ModelError(first_problem(error)) from None

    def in_use(self) -> dict[str, Any] | None:
        """The configuration that is in use, by parameter; None if the search does not reach so far."""
        config = self.new_model({}).config
        parameters = {}
        for name, where in _flat(self.model_class.search).items():
            field_name, _, nth = name.partition(".")
            value = getattr(config, field_name)
            value = value[int(nth)] if nth else value
            if not where.contains(value):
                return None
            parameters[name] = value
        return parameters

    def told(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Tell that a trial is over, and begin no other once Ctrl-C was pressed."""
        if self.interrupts.is_asked:
            study.stop()
        self.made += 1
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        best = max((found.value for found in complete if found.value is not None), default=None)
        self.bar(self.made, self.n_trials, "" if best is None else f"best {METRIC} {best:.4f}")


def draw(trial: optuna.Trial, search: Search) -> dict[str, Any]:
    """Let a trial choose a value for each field that is searched."""
    drawn = {name: _suggest(trial, name, where) for name, where in _flat(search).items()}
    return _nested(drawn)


def _suggest(trial: optuna.Trial, name: str, where: Range | Choice) -> Any:
    if isinstance(where, Choice):
        return trial.suggest_categorical(name, where.options)
    if isinstance(where.low, int) and isinstance(where.high, int):
        return trial.suggest_int(name, where.low, where.high, log=where.log)
    return trial.suggest_float(name, where.low, where.high, log=where.log)


def _flat(search: Search) -> dict[str, Range | Choice]:
    """One entry a parameter: ``field``, or ``field.0``, ``field.1`` … of one that is a tuple."""
    flat: dict[str, Range | Choice] = {}
    for name, where in search.items():
        flat |= {f"{name}.{nth}": part for nth, part in enumerate(where)} if isinstance(where, tuple) else {name: where}
    return flat


def _nested(parameters: dict[str, Any]) -> dict[str, Any]:
    """Fields out of parameters, as :func:`_flat` names them."""
    fields: dict[str, Any] = {}
    for name, value in parameters.items():
        field_name, _, nth = name.partition(".")
        if nth:
            fields.setdefault(field_name, []).append(value)
        else:
            fields[field_name] = value
    return fields


def _summary(study: optuna.Study, model: str, run_no: int) -> Tuned:
    trials = study.get_trials(deepcopy=False)
    states = [trial.state.name.lower() for trial in trials]
    tuned = Tuned(study.study_name, model, run_no, {state: states.count(state) for state in sorted(set(states))})
    tuned.trials = [
        {
            "trial": trial.number,
            "state": state,
            METRIC: trial.value,
            "seconds": None if trial.duration is None else trial.duration.total_seconds(),
            "options": _nested(trial.params),
            "error": trial.user_attrs.get("error"),
        }
        for trial, state in zip(trials, states, strict=True)
    ]
    complete = [row for row in tuned.trials if row["state"] == "complete"]
    if not complete:
        failed = next((row["error"] for row in reversed(tuned.trials) if row["error"]), "none has ended")
        raise ModelError(f"No trial of {model} succeeded; the last error is: {failed}.")
    best = max(complete, key=lambda row: row[METRIC])
    tuned.best = {"trial": best["trial"], METRIC: best[METRIC]}
    tuned.options = best["options"]
    return tuned
