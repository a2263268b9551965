"""The search for hyperparameters, with studies in the database of the test."""

import numpy as np
import pytest
from optuna.trial import TrialState
from pydantic import Field

from recsql import ingest
from recsql.errors import ModelError, NotFoundError, PipelineError
from recsql.readers.simulated import SimulatedReader
from recsql.settings import get_settings
from workers import tuning
from workers.models.base import Model, ModelConfig, TrainingData
from workers.models.ease import Ease
from workers.models.search import Range
from workers.pipeline import Pipeline, PipelineConfig
from workers.run import Run

CONFIG = PipelineConfig()


@pytest.fixture
def simulated(connection, database, monkeypatch):
    monkeypatch.setenv("RECSQL_DATABASE_URL", database)
    get_settings.cache_clear()
    ingest.load(connection, SimulatedReader(n_users=60, n_items=40, with_media=False))
    yield connection
    get_settings.cache_clear()


def tune(connection, name, n_trials, config=CONFIG, **options):
    return tuning.tune(Pipeline(connection, config), name, n_trials, **options)


def outcomes(tuned):
    return [(row["trial"], row["state"], row["options"], row["ndcg@10"]) for row in tuned.trials]


def forget(connection):
    connection.execute("drop schema recsql_optuna cascade")


def test_tune_begins_with_what_is_in_use_and_measures_each_trial_as_a_fit_does(simulated):
    tuned = tune(simulated, "ease", 3)
    assert tuned.states == {"complete": 3}
    assert tuned.trials[0]["options"] == {"lambda_": 1000.0}
    run = Run(simulated, tuned.run_no, "validation", CONFIG)
    assert run.data.targets is not None
    data = TrainingData(run.data.sequences, len(run.data.item_nos), targets=run.data.targets)
    for row in tuned.trials:
        assert 10 <= row["options"]["lambda_"] <= 10_000
        model = Ease(Ease.Config(**row["options"], histories=[run.history("ease")]))
        assert row["ndcg@10"] == model.fit(data)["ndcg@10"]
    best = max(tuned.trials, key=lambda row: row["ndcg@10"])
    assert tuned.best == {"trial": best["trial"], "ndcg@10": best["ndcg@10"]}
    assert tuned.options == {"ease": best["options"]}


def test_tune_goes_on_with_a_study_as_if_it_had_not_ended(simulated):
    tune(simulated, "ease", 3)
    resumed = tune(simulated, "ease", 9)
    forget(simulated)
    at_once = tune(simulated, "ease", 12)
    # More than ten trials, so that the estimator has its say and not chance alone.
    assert outcomes(resumed) == outcomes(at_once)
    assert [row["trial"] for row in at_once.trials] == list(range(12))
    assert len({row["options"]["lambda_"] for row in at_once.trials}) == 12


def test_tune_depends_on_the_seed_and_makes_a_study_of_other_data_anew(simulated):
    first = tune(simulated, "ease", 2)
    other = tune(simulated, "ease", 2, PipelineConfig(seed=1))
    assert other.study != first.study
    assert other.trials[1]["options"] != first.trials[1]["options"]
    simulated.execute("select recsql_api.record_event('u0', (select min(item_id) from recsql.item), 'like')")
    later = tune(simulated, "ease", 1)
    assert later.study != first.study
    assert len(later.trials) == 1


def test_tune_starts_from_the_options_in_use_and_keeps_those_of_others(simulated):
    config = PipelineConfig(models={"ease": {"lambda_": 200.0, "max_items": 50}, "slit": {"reverse": 0.1}})
    tuned = tune(simulated, "ease", 1, config)
    assert tuned.trials[0]["options"] == {"lambda_": 200.0}
    assert tuned.options == {"ease": {"lambda_": 200.0, "max_items": 50}, "slit": {"reverse": 0.1}}
    # Beyond what is searched: the study begins anywhere within.
    far = tune(simulated, "ease", 1, PipelineConfig(models={"ease": {"lambda_": 1.0}}))
    assert 10 <= far.trials[0]["options"]["lambda_"] <= 10_000


def test_tune_notes_a_trial_that_cannot_be_trained_and_goes_on(simulated, monkeypatch):
    learn, calls = Ease.learn, []

    def sometimes(self, sequences, n_items):
        calls.append(self.config.lambda_)
        if len(calls) == 2:
            raise ModelError("lambda_ is unlucky")
        if len(calls) == 3:
            raise np.linalg.LinAlgError("not positive definite")
        return learn(self, sequences, n_items)

    monkeypatch.setattr(Ease, "learn", sometimes)
    tuned = tune(simulated, "ease", 4)
    assert [row["state"] for row in tuned.trials] == ["complete", "fail", "fail", "complete"]
    assert [row["error"] for row in tuned.trials] == [None, "lambda_ is unlucky", "not positive definite", None]


def test_tune_without_any_success_says_why(simulated):
    with pytest.raises(ModelError, match="No trial of ease succeeded; the last error is: ease would invert"):
        tune(simulated, "ease", 2, PipelineConfig(models={"ease": {"max_items": 2}}))


def test_tune_that_was_stopped_leaves_a_study_to_go_on_with(simulated, monkeypatch):
    learn, calls = Ease.learn, []

    def stopped(self, sequences, n_items):
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return learn(self, sequences, n_items)

    monkeypatch.setattr(Ease, "learn", stopped)
    with pytest.raises(KeyboardInterrupt):
        tune(simulated, "ease", 5)
    tuned = tune(simulated, "ease", 1)
    assert [row["state"] for row in tuned.trials] == ["complete", "fail", "complete"]
    assert tuned.trials[1]["error"] == "KeyboardInterrupt"


class Climber(Model):
    """Reaches its height, half of it on the way."""

    class Config(ModelConfig):
        """How high, and how many steps it takes."""

        epochs: int = 10
        height: float = Field(0.9, ge=0, le=1)

    name = "climber"
    search = {"height": Range(0.0, 1.0)}  # noqa: RUF012
    epochs = 0

    def fit(self, data, options=None):
        """Ten epochs, each told as the transformer tells it."""
        for epoch in range(1, 11):
            Climber.epochs += 1
            options.measured({"epochs": epoch, "loss": 1.0, "ndcg@10": self.config.height * epoch / 20})
        return {"epochs": 10.0, "ndcg@10": self.config.height}

    def score(self, histories, items):
        """Nothing."""
        raise NotImplementedError

    def state(self):
        """Nothing."""
        return {}

    def restore(self, state):
        """Nothing."""


def test_tune_ends_trials_early_that_lag_behind(simulated, monkeypatch):
    monkeypatch.setattr(tuning, "get_model", lambda name: Climber)
    monkeypatch.setattr(Climber, "epochs", 0)
    tuned = tune(simulated, "climber", 12)
    # Five trials are let through; then, at the third epoch, whoever is below the median of those complete is ended.
    assert all(row["state"] == "complete" for row in tuned.trials[:5])
    heights = [row["options"]["height"] for row in tuned.trials]
    at_third = [height * 3 / 20 for height in heights]
    n_pruned = 0
    for number, row in enumerate(tuned.trials[5:], start=5):
        before = [
            value for value, other in zip(at_third, tuned.trials[:number], strict=False) if other["state"] == "complete"
        ]
        is_behind = at_third[number] < np.median(before)
        assert (row["state"] == "pruned") == is_behind, number
        n_pruned += is_behind
    assert n_pruned > 0
    assert Climber.epochs == 10 * (12 - n_pruned) + 3 * n_pruned
    assert tuned.best["ndcg@10"] == max(
        h for h, row in zip(heights, tuned.trials, strict=True) if row["state"] == "complete"
    )


def test_tune_transformer_reports_epochs(simulated):
    config = PipelineConfig(models={"transformer": {"epochs": 2}})
    tuned = tune(simulated, "transformer", 1, config)
    assert set(tuned.trials[0]["options"]) == {
        "dim", "n_layers", "n_heads", "max_length", "dropout", "learning_rate", "weight_decay", "batch_tokens",
    }  # fmt: skip
    assert tuned.options["transformer"]["epochs"] == 2
    # Of two epochs the first is reported; its figure is not above the best, which is what the trial is worth.
    steps = simulated.execute("select step, intermediate_value from recsql_optuna.trial_intermediate_values").fetchall()
    assert [step for step, _ in steps] == [1]
    assert steps[0][1] <= tuned.best["ndcg@10"] + 5e-5


def test_tune_begins_no_trial_after_its_time(simulated):
    tune(simulated, "ease", 1)
    assert len(tune(simulated, "ease", 5, timeout=0.0).trials) == 1


def test_tune_refuses_what_it_cannot_search(simulated, monkeypatch):
    with pytest.raises(NotFoundError, match="ease, ease_whole"):
        tune(simulated, "oracle", 1)
    monkeypatch.setattr(Ease, "search", {})
    with pytest.raises(ModelError, match="declares no search space"):
        tune(simulated, "ease", 1)


def test_tune_without_events_says_what_to_do(connection):
    with pytest.raises(PipelineError, match="recsql load"):
        tune(connection, "ease", 1)


def test_studies_lie_in_a_schema_of_their_own(simulated):
    Pipeline(simulated, CONFIG).run("validation", until="popularity")  # has partitions of its own
    query = "select count(*) from pg_class where relkind = 'r' and relnamespace = %s::regnamespace"
    counts = {name: simulated.execute(query, (name,)).fetchone()[0] for name in ("public", "recsql")}
    tune(simulated, "ease", 1)
    assert counts == {name: simulated.execute(query, (name,)).fetchone()[0] for name in ("public", "recsql")}
    states = simulated.execute("select state::text from recsql_optuna.trials").fetchall()
    assert states == [(TrialState.COMPLETE.name,)]


def test_studies_of_another_release_of_optuna_are_explained(simulated):
    from recsql.errors import SchemaError

    tune(simulated, "ease", 1)
    simulated.execute("update recsql_optuna.alembic_version set version_num = 'v99.0.0'")
    with pytest.raises(SchemaError, match="drop schema recsql_optuna"):
        tune(simulated, "ease", 1)


def test_tune_fails_a_trial_whose_process_died(simulated):
    tune(simulated, "ease", 1)
    # What a killed process leaves: a trial that runs and gave its last sign of life a minute and a bit ago.
    simulated.execute(
        "with dead as (insert into recsql_optuna.trials (number, study_id, state, datetime_start) "
        "select 1, study_id, 'RUNNING', now() from recsql_optuna.studies returning trial_id) "
        "insert into recsql_optuna.trial_heartbeats (trial_id, heartbeat) "
        "select trial_id, now() - interval '61 seconds' from dead"
    )
    assert [row["state"] for row in tune(simulated, "ease", 1).trials] == ["complete", "fail", "complete"]


def test_tune_outlives_the_loss_of_idle_connections(simulated, monkeypatch):
    learn = Ease.learn

    def cut_off(self, sequences, n_items):
        simulated.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        return learn(self, sequences, n_items)

    monkeypatch.setattr(Ease, "learn", cut_off)
    assert tune(simulated, "ease", 2).states == {"complete": 2}


def test_loss_of_the_studies_is_one_of_our_errors(simulated, monkeypatch):
    from recsql.errors import DatabaseError

    learn = Ease.learn

    def lost(self, sequences, n_items):
        forget(simulated)
        return learn(self, sequences, n_items)

    monkeypatch.setattr(Ease, "learn", lost)
    # Which of the two it is, is for the thread to decide that tells that the trial is alive.
    with pytest.raises(DatabaseError, match=r"does not exist|deadlock"):
        tune(simulated, "ease", 1)
