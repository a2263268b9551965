"""Stage ``train``: the versions of the models that are active sources, trained or taken over from an earlier run."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from recsql.errors import ModelError, PipelineError
from recsql.queries import QUERIES
from recsql.settings import get_settings
from workers.binary import write_vectors
from workers.device import get_device
from workers.incremental import find_parent
from workers.interactions import RunData, rows_of
from workers.models.base import Model, Progress, Sequences, TrainingData, TrainingOptions
from workers.models.checkpoint import forget_stale
from workers.models.registry import get_model, load_artifact, save_artifact
from workers.run import Run
from workers.together import fit_together


@dataclass(frozen=True)
class Version:
    """A version that a run has of a model.

    Attributes:
        version_no: its number.
        reused_no: the version whose artifact it has; None where it was trained itself.
        item_nos: database key of each item row of the model, ascending; None in versions of earlier releases, whose
            rows are those of the run that trained them.
    """

    version_no: int
    reused_no: int | None
    item_nos: NDArray[np.int64] | None


def find_version(run: Run, name: str, run_no: int | None = None) -> Version | None:
    """The version that a run (another one's where ``run_no`` is given) has of a model, if it has one."""
    parameters = {"run_no": run.run_no if run_no is None else run_no, "model": name}
    row = run.connection.execute(QUERIES["run_version"], parameters).fetchone()
    return row and Version(row[0], row[1], None if row[2] is None else np.array(row[2], dtype=np.int64))


def kept_version(run: Run, name: str, version: Version) -> Version | None:
    """The version of the run ``since_no`` that a run took over as this one; None where it was trained or is another."""
    if run.since_no is None or version.reused_no is None:
        return None
    kept = find_version(run, name, run.since_no)
    return kept if kept is not None and version.reused_no in (kept.reused_no, kept.version_no) else None


def load_model(run: Run, name: str, version: Version) -> Model:
    """The model of a version: what this process has trained, or from its artifact.

    Raises:
        ModelError: the artifact is damaged, or of another release; the run then trains it anew when it is gone on with.
    """
    number = version.version_no
    if name not in run.trained:
        try:
            run.trained[name] = load_artifact(run.one("artifact", version_no=number))
            run.trained[name].use_device(get_device())
        except ModelError as error:
            # Else the run would meet it again whenever it is gone on with.
            run.connection.execute(QUERIES["forget_training"], run.parameters(version=number))
            raise ModelError(f"Version {number} cannot be used: {error}. Run again: it is trained anew.") from error
    return run.trained[name]


def reads_weights(run: Run, name: str) -> bool:
    """Whether a user's vector or scores depend on more than which items the user had, in which order."""
    return get_model(name).reads_weights or bool(run.config.models.get(name, {}).get("reads"))


def histories_of(data: RunData, version: Version) -> Sequences:
    """The histories of a run as rows of a version's items, -1 for items that it does not know."""
    if version.item_nos is None or np.array_equal(version.item_nos, data.item_nos):
        return data.sequences
    rows = rows_of(version.item_nos, data.item_nos)
    return replace(data.sequences, items=rows[data.sequences.items], dislikes=None)


def check_needs(names: Iterable[str]) -> None:
    """See that what training imports is installed, before anything is trained.

    Raises:
        PipelineError: a module is missing; says which extra brings it.
    """
    for name in names:
        for module, extra in get_model(name).needs.items():
            if find_spec(module) is None:
                raise PipelineError(
                    f"Source {name} is active, and training it needs {module}: pip install 'recsql[{extra}]', or "
                    f"'recsql source disable {name}'."
                )


def train(run: Run, progress: Progress) -> int:
    """Make a version of every model that is an active source; those that an earlier attempt made are whole and stay.

    Returns:
        The number of users, times the number of models.
    """
    models = run.models()
    check_needs(models)
    for name, source_kind in models.items():
        if find_version(run, name) is None:
            told = _keep(run, name, source_kind) if run.since_no is not None else None
            if told is None or not told.is_kept:
                _train(run, name, source_kind, _naming(progress, name))
            if told is not None:
                run.details[name] = told.note
    run.connection.execute(QUERIES["analyze_vectors"])
    return len(models) * len(run.data.user_nos)


def _naming(progress: Progress, name: str) -> Progress:
    return lambda done, total, note: progress(done, total, f"{name} {note}".rstrip())


def _train(run: Run, name: str, source_kind: str, progress: Progress) -> None:
    """Train a model; its artifact and, of a vector source, its vectors land in the database together."""
    data, kind = run.data, get_model(name)
    options = run.config.models.get(name, {})
    has_epochs = "epochs" in kind.Config.model_fields
    if name in run.epochs and has_epochs:
        options = options | {"epochs": run.epochs[name]}
    model = kind(kind.Config(**options))
    targets = _targets(run)
    if targets is None and run.part == "validation" and has_epochs:
        run.notice(f"{name} is trained for all its epochs: nobody known did anything after the validation cut.")
    settings, named = get_settings(), f"run-{run.run_no}-{name}"
    checkpoints = settings.checkpoints or settings.home / "checkpoints"
    forget_stale(checkpoints)
    checkpoint = checkpoints / named
    curves = settings.curves and settings.curves / named
    parent = find_parent(run, model) if run.config.incremental else None
    told = TrainingOptions(
        seed=run.config.seed,
        device=get_device(),
        progress=progress,
        checkpoint=checkpoint,
        curves=curves,
        wandb_project=settings.wandb_project,
        name=named,
        start=parent and parent.start,
    )
    # What is not learnt by gradients is trained by one.
    n_processes = run.processes if has_epochs else 1
    metrics = fit_together(
        model, TrainingData(data.sequences, len(data.item_nos), data.content, targets), told, n_processes
    )
    if parent is not None:
        # What a training from the beginning takes is still what it was.
        metrics |= {"epochs": parent.epochs, "fresh_epochs": metrics["epochs"]}
    items = users = None
    if source_kind == "vector":
        items, users = model.item_vectors(), model.user_vectors(data.sequences)
    with run.connection.transaction():
        version_no = run.one(
            "add_model_version",
            model=name,
            config=json.dumps(model.describe()),
            metrics=json.dumps(metrics),
            artifact=save_artifact(model),
            item_nos=data.item_nos.tolist(),
            parent=parent and parent.version_no,
        )
        if items is not None and users is not None:
            run.one("add_model_vectors", version_no=version_no, dim=items.shape[1])
            write_vectors(run.connection, "item_vector", "item_no", version_no, data.item_nos, items)
            write_vectors(run.connection, "user_vector", "user_no", version_no, data.user_nos, users)
            run.one("index_model_vectors", version_no=version_no)
    checkpoint.unlink(missing_ok=True)
    run.trained[name] = model


def _targets(run: Run) -> Sequences | None:
    """What a model chooses its number of epochs by, if anything is: only validation may look at what came next."""
    targets = run.data.targets if run.part == "validation" else None
    return targets if targets is not None and len(targets.items) else None


@dataclass(frozen=True)
class _Told:
    """Whether a version was taken over, and how, or why not."""

    is_kept: bool
    note: str


def _keep(run: Run, name: str, source_kind: str) -> _Told:
    """Take over the version of the run to go on from; user vectors are computed of those alone who did something."""
    kept = find_version(run, name, run.since_no)
    if kept is None:
        return _Told(False, f"trained, since run {run.since_no} has no version of it that can be used")
    if kept.item_nos is None:
        return _Told(False, f"trained, since version {kept.version_no} is of an earlier release")
    if run.since_models.get(name, {}) != run.config.models.get(name, {}):
        return _Told(False, f"trained, since its options have changed since run {run.since_no}")
    if not run.one("is_artifact_whole", version_no=kept.version_no):
        return _Told(False, f"trained, since the artifact of version {kept.version_no} is damaged")
    dim = run.one("version_dim", version_no=kept.version_no)
    if dim is None and source_kind == "vector":
        return _Told(False, f"trained, since version {kept.version_no} has no vectors")
    # Computed while no transaction is open.
    unchanged = changed = np.empty(0, dtype=np.int64)
    users = None
    if dim is not None:
        unchanged = run.unchanged_users(reads_weights(run, name))
        changed = np.flatnonzero(~np.isin(run.data.user_nos, unchanged))
        if len(changed):
            users = load_model(run, name, kept).user_vectors(histories_of(run.data, kept).take(changed))
    with run.connection.transaction():
        version_no = run.one("keep_model_version", version_no=kept.version_no)
        if dim is not None:
            numbers = {"version_no": version_no, "kept_no": kept.version_no}
            run.one("add_model_vectors", version_no=version_no, dim=dim)
            run.connection.execute(QUERIES["keep_item_vectors"], numbers)
            run.connection.execute(QUERIES["keep_user_vectors"], numbers | {"user_nos": unchanged.tolist()})
            if users is not None:
                write_vectors(run.connection, "user_vector", "user_no", version_no, run.data.user_nos[changed], users)
            run.one("index_model_vectors", version_no=version_no)
    note = f"version {kept.version_no} is kept"
    if dim is not None:
        note += f", with vectors of {len(changed):,} of {len(run.data.user_nos):,} users computed anew"
    return _Told(True, note)
