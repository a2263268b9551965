"""The stages of a run, in their order: each fills its table from the tables before it and returns its number of rows.

A stage replaces what an earlier attempt at it left, so a run that was stopped goes on at the stage that is missing.
"""

import logging
from collections.abc import Callable, Sequence
from typing import cast

from recsql.queries import QUERIES
from recsql.settings import get_settings
from workers.attributions import attribute
from workers.evaluate import evaluate as evaluate_methods
from workers.evaluate import interval
from workers.fairness import evaluate_fairness
from workers.models.base import TrainingData
from workers.models.item_weights import ItemWeightsConfig
from workers.models.registry import MODELS, get_model
from workers.parallel import execute_all
from workers.ranker.fusing import fuse_by_ranker
from workers.ranker.model import Ranker
from workers.run import Part, Progress, Run
from workers.scoring import score
from workers.tables import write_neighbours
from workers.versions import train

logger = logging.getLogger(__name__)

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
    """Stage that learns a model's item weights, whose inversion is not for SQL, as lists of item similarities.

    Of a source that is switched off, and of more items than the model may invert a matrix of, there are none.
    """

    def stage(run: Run, progress: Progress) -> int:
        kind = get_model(name)
        for source in kind.sources:
            run.connection.execute(QUERIES["clear_similarity"], {"run_no": run.run_no, "source": source})
        if name not in {source for _, source in run.sources()}:
            return 0
        # How far back a list reads is decided by its row alone, since that is what SQL reads when it serves.
        histories = [run.history(source) for source in kind.sources]
        model = kind(kind.Config(**run.config.models.get(name, {}) | {"histories": histories}))
        if (n_items := len(run.data.item_nos)) > (most := cast(ItemWeightsConfig, model.config).max_items):
            run.details[name] = f"left out, since {n_items:,} items are more than its max_items, {most:,}"
            logger.warning("source is left out", extra={"source": name, "n_items": n_items, "max_items": most})
            return 0
        model.fit(TrainingData(run.data.sequences, len(run.data.item_nos)))
        # Computed while no transaction is open.
        lists = {source: model.neighbours(N_NEIGHBOURS, nth) for nth, source in enumerate(kind.sources)}
        written = 0
        with run.connection.transaction():
            for source, found in lists.items():
                assert found is not None
                source_no = run.one("source_no", source=source)
                written += write_neighbours(run.connection, run.run_no, source_no, run.data.item_nos, *found)
        return written

    return stage


def lists(run: Run, progress: Progress) -> int:
    """The item similarities of active sources that no other stage makes."""
    names = [name for (name,) in run.connection.execute(QUERIES["lists_of_their_own"]).fetchall() if name not in STAGES]
    made = [item_weights(name) for name in names if name in MODELS]
    made += [similarity(name) for name in names if f"refresh_similarity_{name}" in QUERIES]
    return sum(stage(run, progress) for stage in made)


def per_source(kind: str, query: str) -> Stage:
    """Stage that computes in SQL what the active sources of a kind read; most often there are none."""

    def stage(run: Run, progress: Progress) -> int:
        sources = run.connection.execute(QUERIES["sources_of_kind"], {"kind": kind}).fetchall()
        return sum(run.one(query, source=source) for (source,) in sources)

    return stage


def profiles(run: Run, progress: Progress) -> int:
    """Who is similar by what a model learned of them, for the active sources that read that; most often none do."""
    written = 0
    for source, model in run.connection.execute(QUERIES["sources_of_vectors"]).fetchall():
        n_users = run.one("refresh_user_similarity_vectors", source=source)
        if not n_users:
            run.details[source] = f"left out, since the run has no vectors of {model}: is that an active source?"
            logger.warning("source is left out", extra={"source": source, "model": model})
        written += n_users
    return written


def candidates(run: Run, progress: Progress) -> int:
    """The best items of each active source for each user."""
    proposing = [source for _, source in run.sources() if run.models().get(source) != "score"]
    return write_candidates(run, proposing, progress)


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


def weights(run: Run, progress: Progress) -> int:
    """Fit weights of the sources, and a ranker, on what users of a validation run went on to: policies of their own.

    The ranker is taken where what it gains in NDCG@10 on users that it was not fitted on is beyond chance. What an
    earlier attempt at the stage took is forgotten.
    """
    # Torch is imported with what needs it.
    from workers.ranker.learned import learn_ranker, read_choices

    sources = run.sources()
    run.connection.execute(QUERIES["forget_ranker"], run.parameters())
    choices = read_choices(run, sources, run.config.seed)
    fitted = choices.weights()
    progress(1, 2, "weights")
    learned = learn_ranker(choices, fitted) if choices.are_enough else None
    ndcg = learned.weighted[0] if learned else None
    run.policy_no = choices.write(f"weighted-{run.run_no}", "weighted", fitted, ndcg=ndcg, is_chosen=True)
    progress(2, 2, "ranker")
    if learned is None:
        run.details["ranker"] = "not fitted: too few users to learn from"
        return len(sources)
    gain, lo, hi, _ = interval(learned.ranked[0] - learned.weighted[0], run.config.seed)
    assert lo is not None
    is_better = lo > 0
    if is_better:
        run.policy_no = learned.write(choices)
    told = f"NDCG@10 {gain:+.4f} ({lo:+.4f} to {hi:+.4f}) on users that it was not fitted on"
    run.details["ranker"] = f"{'taken' if is_better else 'left'}: {told}"
    return len(sources)


def fuse(run: Run, progress: Progress) -> int:
    """One list a user out of all sources."""
    assert run.policy_no is not None
    kind, weights, config = run.connection.execute(QUERIES["policy"], {"policy_no": run.policy_no}).fetchall()[0]
    if kind == "ranker":
        return fuse_by_ranker(run, run.policy_no, Ranker.from_policy(weights, config), progress)
    chunks, written = run.user_chunks(), 0
    for index, (first, last) in enumerate(chunks):
        written += run.one("fuse", policy_no=run.policy_no, first=first, last=last)
        progress(index + 1, len(chunks), "")
    return written


def evaluate(run: Run, progress: Progress) -> int:
    """The quality of each source and of their fusion, and the fairness of the latter."""
    written = evaluate_methods(run.connection, run.run_no, progress=progress)
    return written + evaluate_fairness(run.connection, run.run_no)


STAGES: dict[str, Stage] = {
    "interactions": lambda run, progress: run.one("refresh_interaction"),
    "popularity": lambda run, progress: run.one("refresh_item_popularity"),
    "sequential": similarity("sequential"),
    "cosine": similarity("cosine"),
    "ease": item_weights("ease"),
    "slit": item_weights("slit"),
    "lists": lists,
    "users": per_source("user", "refresh_user_similarity_cosine"),
    "segments": per_source("segment", "refresh_segment_popularity"),
    "train": train,
    "profiles": profiles,
    "attributions": attribute,
    "candidates": candidates,
    "score": score,
    "weights": weights,
    "fuse": fuse,
    "evaluate": evaluate,
}
"""All stages in their order."""

_LEFT_OUT: dict[Part, set[str]] = {
    "validation": {"attributions"},
    "test": {"attributions", "weights"},
    "production": {"weights", "evaluate"},
}


def stages_of(part: Part) -> list[str]:
    """Names of the stages of a run, in their order."""
    return [name for name in STAGES if name not in _LEFT_OUT[part]]
