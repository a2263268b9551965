"""The stages of a run, in their order: each fills its table from the tables before it and returns its number of rows.

A stage replaces what an earlier attempt at it left, so a run that was stopped goes on at the stage that is missing.
"""

import json
from collections.abc import Callable, Sequence

import numpy as np

from recsql.queries import QUERIES
from recsql.settings import get_settings
from workers.device import get_device
from workers.evaluate import evaluate
from workers.fusion_weights import fit_policy
from workers.incremental import find_parent
from workers.models.base import TrainingData, TrainingOptions
from workers.models.registry import get_model, save_artifact
from workers.parallel import execute_all
from workers.run import SEQUENCE_MODEL, Part, Progress, Run
from workers.tables import write_columns, write_neighbours, write_vectors
from workers.together import fit_together

N_NEIGHBOURS = 200

Stage = Callable[[Run, Progress], int]


def similarity(method: str) -> Stage:
    """Stage that computes one method's item similarities in SQL."""

    def stage(run: Run, progress: Progress) -> int:
        n_parts = get_settings().connections
        calls = [
            (f"refresh_similarity_{method}", run.parameters(reverse=run.config.reverse, part=part, parts=n_parts))
            for part in range(n_parts)
        ]
        return sum(n_lists for _, n_lists in execute_all(run.connection, calls))

    return stage


def item_weights(name: str) -> Stage:
    """Stage that learns a model's item weights, whose inversion is not for SQL, as lists of item similarities."""

    def stage(run: Run, progress: Progress) -> int:
        kind = get_model(name)
        # How far back a list reads is decided by its row alone, since that is what SQL reads when it serves.
        histories = [run.history(source) for source in kind.sources]
        model = kind(kind.Config(**run.config.models.get(name, {}) | {"histories": histories}))
        model.fit(TrainingData(run.data.sequences, len(run.data.item_nos)))
        written = 0
        with run.connection.transaction():
            for nth, source in enumerate(kind.sources):
                found = model.neighbours(N_NEIGHBOURS, nth)
                assert found is not None
                run.connection.execute(QUERIES["clear_similarity"], {"run_no": run.run_no, "source": source})
                source_no = run.one("source_no", source=source)
                written += write_neighbours(run.connection, run.run_no, source_no, run.data.item_nos, *found)
        return written

    return stage


def per_source(kind: str, query: str) -> Stage:
    """Stage that computes in SQL what the active sources of a kind read; most often there are none."""

    def stage(run: Run, progress: Progress) -> int:
        sources = run.connection.execute(QUERIES["sources_of_kind"], {"kind": kind}).fetchall()
        return sum(run.one(query, source=source) for (source,) in sources)

    return stage


def train(run: Run, progress: Progress) -> int:
    """Train the sequence model; its artifact and its vectors land in the database together.

    A run has one version of it: what an attempt has trained that was killed before the stage was noted is whole.
    """
    data, kind = run.data, get_model(SEQUENCE_MODEL)
    if run.connection.execute(QUERIES["run_artifact"], {"run_no": run.run_no, "model": SEQUENCE_MODEL}).fetchone():
        return len(data.user_nos)
    options = run.config.models.get(SEQUENCE_MODEL, {}) | ({} if run.epochs is None else {"epochs": run.epochs})
    model = kind(kind.Config(**options))
    # Only validation may look at what came next, to choose the number of epochs.
    targets = data.targets if run.part == "validation" else None
    settings, name = get_settings(), f"run-{run.run_no}-{SEQUENCE_MODEL}"
    checkpoint = (settings.checkpoints or settings.home / "checkpoints") / name
    curves = settings.curves and settings.curves / name
    parent = find_parent(run, model) if run.config.incremental else None
    metrics = fit_together(
        model,
        TrainingData(data.sequences, len(data.item_nos), data.content, targets),
        TrainingOptions(
            run.config.seed,
            get_device(),
            progress,
            checkpoint,
            curves,
            settings.wandb_project,
            name,
            parent and parent.start,
        ),
        run.processes,
    )
    if parent is not None:
        # What a training from the beginning takes is still what it was.
        metrics |= {"epochs": parent.epochs, "fresh_epochs": metrics["epochs"]}
    items, users = model.item_vectors(), model.user_vectors(data.sequences)
    assert items is not None
    assert users is not None
    with run.connection.transaction():
        version_no = run.one(
            "add_model_version",
            model=SEQUENCE_MODEL,
            config=json.dumps(model.describe()),
            metrics=json.dumps(metrics),
            artifact=save_artifact(model),
            item_nos=data.item_nos.tolist(),
            parent=parent and parent.version_no,
        )
        run.one("add_model_vectors", version_no=version_no, dim=items.shape[1])
        write_vectors(run.connection, "item_vector", "item_no", version_no, data.item_nos, items)
        write_vectors(run.connection, "user_vector", "user_no", version_no, data.user_nos, users)
    checkpoint.unlink(missing_ok=True)
    run.connection.execute(QUERIES["analyze_vectors"])
    run.sequence_model = (version_no, model)
    return len(data.user_nos)


def candidates(run: Run, progress: Progress) -> int:
    """The best items of each active source for each user."""
    return write_candidates(run, [source for _, source in run.sources()], progress)


def write_candidates(run: Run, sources: Sequence[str], progress: Progress) -> int:
    """The best items of some sources for each user."""
    calls = [
        ("refresh_candidates", run.parameters(source=source, first=first, last=last, n=run.config.n_candidates(source)))
        for source in sources
        for first, last in run.user_chunks()
    ]
    written = 0
    for done, (place, n_rows) in enumerate(execute_all(run.connection, calls), start=1):
        written += n_rows
        progress(done, len(calls), calls[place][1]["source"])
    run.connection.execute(QUERIES["analyze_candidates"])
    return written


def score(run: Run, progress: Progress) -> int:
    """What the sequence model thinks of every candidate, whichever source it came from."""
    version_no, model = run.sequence_model
    run.connection.execute(QUERIES["clear_scores"], {"run_no": run.run_no})
    written, chunks = 0, run.user_chunks()
    for index, (first, last) in enumerate(chunks):
        user_nos, item_nos = run.columns(
            "candidate_pairs", {"user_no": np.int64, "item_no": np.int64}, first=first, last=last
        )
        found, owner = np.unique(user_nos, return_inverse=True)
        counts = np.bincount(owner, minlength=len(found))
        columns = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        padded = np.full((len(found), max(counts, default=1)), -1, dtype=np.int64)
        padded[owner, columns] = np.searchsorted(run.data.item_nos, item_nos)
        scores = model.score(run.data.sequences.take(run.data.user_rows(found)), padded)[owner, columns]
        is_scored = ~np.isnan(scores)
        table = {
            "run_no": run.run_no,
            "user_no": user_nos[is_scored],
            "item_no": item_nos[is_scored],
            "version_no": version_no,
            "score": scores[is_scored],
        }
        write_columns(run.connection, "score", table, int(is_scored.sum()))
        written += int(is_scored.sum())
        progress(index + 1, len(chunks), "")
    return written


def weights(run: Run, progress: Progress) -> int:
    """Fit the weights of the sources on what users of a validation run went on to; a policy of its own."""
    sources = run.sources()
    run.policy_no = fit_policy(run, sources, f"weighted-{run.run_no}", run.run_no)
    return len(sources)


def fuse(run: Run, progress: Progress) -> int:
    """One list a user out of all sources."""
    chunks, written = run.user_chunks(), 0
    for index, (first, last) in enumerate(chunks):
        written += run.one("fuse", policy_no=run.policy_no, first=first, last=last)
        progress(index + 1, len(chunks), "")
    return written


STAGES: dict[str, Stage] = {
    "interactions": lambda run, progress: run.one("refresh_interaction"),
    "popularity": lambda run, progress: run.one("refresh_item_popularity"),
    "sequential": similarity("sequential"),
    "cosine": similarity("cosine"),
    "ease": item_weights("ease"),
    "slit": item_weights("slit"),
    "users": per_source("user", "refresh_user_similarity_cosine"),
    "segments": per_source("segment", "refresh_segment_popularity"),
    "train": train,
    "candidates": candidates,
    "score": score,
    "weights": weights,
    "fuse": fuse,
    "evaluate": lambda run, progress: evaluate(run.connection, run.run_no, progress=progress),
}
"""All stages in their order."""

_LEFT_OUT: dict[Part, set[str]] = {"validation": set(), "test": {"weights"}, "production": {"weights", "evaluate"}}


def stages_of(part: Part) -> list[str]:
    """Names of the stages of a run, in their order."""
    return [name for name in STAGES if name not in _LEFT_OUT[part]]
