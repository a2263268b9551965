"""The unified space on films with posters: ``python -m benchmarks.unified --dataset ml-1m --json --save``.

A fifth of the films, drawn by ``--seed``, is held out of training altogether: their vectors, their posters, and every
event on them. Text and posters are embedded by the worker, projections trained as ``recsql space unify`` trains them.

``image``: of the 10 posters nearest to a held-out one, the share with a genre in common (``genre``), the mean Jaccard
index of genres (``jaccard``), and the share of the other films of its series that are among them (``series``): by the
image model's vectors (``raw``), and by what the projection makes of the poster alone (``unified``).
``text_to_poster``, ``poster_to_text``: how often a held-out film's own counterpart is among the 10 nearest, of the
held-out films' (``held_out``) and of all (``all``).
``cold``: Recall@50 of the held-out films for users who turned to some, from the last 10 other films that they had
(0.8 ^ steps back), or the last 50 (0.95 ^ steps, ``.long``): among the held-out films (``alone``), and among all that
the user has not had (``all``). A film without events has popularity 0, and ties count against it; ``genre_popularity``
is what a ridge regression on genres and decade expects of it.
``global``: the same where items are cold because they came after 80 % of all events; there are few, so Recall@10.

``--part validation`` holds out another fifth in place of it, of what is left: there hyperparameters are chosen.
"""

import json

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import pipeline_on
from benchmarks.films import Films, read_films
from benchmarks.peers import RELEVANT
from benchmarks.report import Report, make_parser
from benchmarks.unified_figures import (
    ColdItems,
    compared,
    genre_shares,
    is_found,
    neighbours,
    series_recall,
    with_interval,
)
from recsql.cli.output import progress_bars
from workers.commands import stage_bars
from workers.device import get_device
from workers.interactions import read_run, rows_of
from workers.models.base import FloatArray, IntArray, Sequences, TrainingOptions
from workers.models.item_weights import History
from workers.pipeline import Pipeline
from workers.unified.artifact import Projection
from workers.unified.inputs import without
from workers.unified.model import unit
from workers.unified.network import UnifiedConfig

HELD_OUT = 0.2
HISTORIES = {
    "": History(decay="geometric", rate=0.8, length=10),
    ".long": History(decay="geometric", rate=0.95, length=50),
}


def main() -> None:
    """Measure, and print one JSON object."""
    parser = make_parser(__doc__)
    parser.add_argument("--dataset", choices=("ml-1m",), default="ml-1m")
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--seeds", type=int, default=3, help="trainings, with seeds from --seed upwards")
    parser.add_argument("--options", type=json.loads, default={}, help="hyperparameters as JSON")
    options = parser.parse_args()
    report = Report("unified", options.dataset, "cold", options.seed)
    config = UnifiedConfig.model_validate(options.options)
    with pipeline_on(options.dataset, content=False, protocol="global") as pipeline, progress_bars() as progress:
        bars = stage_bars(progress)
        films = read_films(pipeline.connection, bars)
        test, validation = _held_out(len(films.item_nos), options.seed)
        is_held_out, is_hidden = (test, test) if options.part == "test" else (validation, test | validation)
        results: dict[str, float] = {}
        for seed in range(options.seed, options.seed + options.seeds):
            told = TrainingOptions(seed, get_device(), bars(f"unify, seed {seed}"))
            projection = _train(films, is_hidden, films.sequences, config, told)
            found = _figures(films, projection, is_held_out, is_hidden, options.seed)
            results = found | results | {f"seeds.{seed}.{name}": found[name] for name in _OF_EACH_SEED}
        for name in _OF_EACH_SEED:
            values = [results[f"seeds.{seed}.{name}"] for seed in range(options.seed, options.seed + options.seeds)]
            results |= {f"{name}.seeds.mean": float(np.mean(values)), f"{name}.seeds.range": float(np.ptp(values))}
        if options.part == "test":
            told = TrainingOptions(options.seed, get_device(), bars("unify, global"))
            results |= _global(pipeline, films, config, told)
        report.publish(results, options.save, part=options.part)


_OF_EACH_SEED = (
    "image.unified.genre",
    "text_to_poster.held_out.recall@10",
    "text_to_poster.all.recall@10",
    "cold.unified.alone.recall@50",
    "cold.unified.all.recall@50",
)


def _held_out(n_items: int, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which films are held out for the test, and which of the others for validation."""
    rng, n = np.random.default_rng(seed), int(HELD_OUT * n_items)
    drawn = rng.permutation(n_items)
    test, validation = np.zeros(n_items, dtype=bool), np.zeros(n_items, dtype=bool)
    test[drawn[:n]], validation[drawn[n : 2 * n]] = True, True
    return test, validation


def _train(
    films: Films, is_hidden: NDArray[np.bool_], sequences: Sequences, config: UnifiedConfig, told: TrainingOptions
) -> Projection:
    """Projections that have learned from all films but those that are hidden."""
    projection = Projection.new(films.sources, config)
    visible = [np.where(is_hidden[:, None], np.nan, vectors) for vectors in (films.text, films.image)]
    projection.model.fit(visible, without(sequences, is_hidden[sequences.items]), told)
    return projection


def _project(films: Films, projection: Projection, *, text: bool = True, image: bool = True) -> FloatArray:
    """Vectors of all films by the modalities that are asked for; NaN where a film has none of them."""
    nothing = [np.full_like(vectors, np.nan) for vectors in (films.text, films.image)]
    return projection.project([films.text if text else nothing[0], films.image if image else nothing[1]])


def _figures(
    films: Films, projection: Projection, is_held_out: NDArray[np.bool_], is_hidden: NDArray[np.bool_], seed: int
) -> dict[str, float]:
    queries, gallery = (
        np.flatnonzero(films.has_poster & chosen) for chosen in (is_held_out, np.ones_like(is_held_out))
    )
    results = _of_images(films, projection, queries, gallery, seed)
    text = np.nan_to_num(_project(films, projection, image=False))
    image = np.nan_to_num(_project(films, projection, text=False))
    own = np.searchsorted(gallery, queries)
    for name, asked, found in (("text_to_poster", text, image), ("poster_to_text", image, text)):
        for among, rows, places in (("held_out", queries, np.arange(len(queries))), ("all", gallery, own)):
            values, chance = is_found(asked[queries], found[rows], places), 10 / len(rows)
            figure = f"{name}.{among}"
            results |= with_interval(f"{figure}.recall@10", values, seed)
            results |= {f"{figure}.chance": chance, f"{figure}.ratio": values.mean() / chance}
    events = films.sequences
    cold = ColdItems(without(events, is_hidden[events.items]), without(events, ~is_held_out[events.items]), is_held_out)
    return results | _of_cold_items(films, projection, cold, ~is_hidden, seed, "cold", 50)


def _of_images(
    films: Films, projection: Projection, queries: IntArray, gallery: IntArray, seed: int
) -> dict[str, float]:
    results: dict[str, float] = {"image.queries": len(queries), "image.gallery": len(gallery)}
    measured = {}
    raw, unified = unit(films.image), _project(films, projection, text=False)
    for name, vectors in (("raw", raw), ("unified", unified)):
        found = neighbours(np.nan_to_num(vectors), queries, gallery)
        of_genres = genre_shares(found, queries, films.genres)
        measured[name] = (*of_genres, series_recall(found, queries, gallery, films.series))
    # All others, as if 10 were drawn of them.
    others = np.array([gallery[gallery != query] for query in queries])
    chance = (*genre_shares(others, queries, films.genres), np.full(len(queries), 10 / (len(gallery) - 1)))
    for place, figure in enumerate(("genre", "jaccard", "series")):
        results[f"image.chance.{figure}"] = float(chance[place].mean())
        for name, values in measured.items():
            results |= with_interval(f"image.{name}.{figure}", values[place], seed)
        there = ~np.isnan(measured["raw"][place])
        unified_values, raw_values = measured["unified"][place][there], measured["raw"][place][there]
        results |= compared(f"image.unified_over_raw.{figure}", unified_values, raw_values, seed)
    return results | {"image.series.queries": float((~np.isnan(measured["raw"][2])).sum())}


def _of_cold_items(
    films: Films,
    projection: Projection,
    cold: ColdItems,
    is_known: NDArray[np.bool_],
    seed: int,
    prefix: str,
    k: int,
) -> dict[str, float]:
    counts = np.bincount(cold.histories.items, minlength=len(films.item_nos)).astype(np.float32)
    centred = unit(films.text - films.text[is_known].mean(axis=0))
    both = np.concatenate([np.nan_to_num(unit(films.text)), np.nan_to_num(unit(films.image))], axis=1)
    vectors = {
        "text": unit(films.text),
        "text_centred": centred,
        "text_image": both,
        "unified": _project(films, projection),
        "unified_text": _project(films, projection, image=False),
    }
    found = {
        f"{name}{suffix}": cold.recall(cold.by_vectors(array, history), k)
        for name, array in vectors.items()
        for suffix, history in HISTORIES.items()
    }
    found["popularity"] = cold.recall(cold.by_items(counts), k)
    found["genre_popularity"] = cold.recall(cold.by_items(_genre_popularity(films, counts, is_known)), k)
    n_cold = int(cold.is_cold.sum())
    results: dict[str, float] = {
        f"{prefix}.items": n_cold,
        f"{prefix}.users": cold.histories.n_users,
        f"{prefix}.events": len(cold.relevant.items),
        f"{prefix}.chance.alone.recall@{k}": min(1.0, k / n_cold),
    }
    for name, (alone, among_all) in found.items():
        results |= with_interval(f"{prefix}.{name}.alone.recall@{k}", alone, seed)
        results |= with_interval(f"{prefix}.{name}.all.recall@{k}", among_all, seed)
    for place, among in enumerate(("alone", "all")):
        for other in ("text", "text_centred", "text_image", "genre_popularity"):
            if found[other][place].any():
                name = f"{prefix}.unified_over_{other}.{among}"
                results |= compared(name, found["unified"][place], found[other][place], seed)
    return results


def _genre_popularity(films: Films, counts: FloatArray, is_known: NDArray[np.bool_]) -> FloatArray:
    """What genres and decade let expect of each film's log popularity, learnt from the films that are known."""
    decades = np.eye(10)[np.clip((films.years - 1910) // 10, 0, 9)]
    features = np.concatenate([films.genres, decades, np.ones((len(counts), 1))], axis=1).astype(np.float64)
    known = features[is_known]
    weights = np.linalg.solve(known.T @ known + np.eye(features.shape[1]), known.T @ np.log1p(counts[is_known]))
    return (features @ weights).astype(np.float32)


def _global(pipeline: Pipeline, films: Films, config: UnifiedConfig, told: TrainingOptions) -> dict[str, float]:
    """Items that are cold in time."""
    run_no = pipeline.run("test", until="popularity")
    data = read_run(pipeline.connection, run_no)
    histories = Sequences(rows_of(films.item_nos, data.item_nos)[data.sequences.items], data.sequences.offsets)
    is_cold = np.bincount(histories.items, minlength=len(films.item_nos)) == 0
    wanted = np.array(pipeline.connection.execute(RELEVANT, (run_no,)).fetchall(), dtype=np.int64)
    users, items = data.user_rows(wanted[:, 0]), rows_of(films.item_nos, wanted[:, 1])
    asked = (users >= 0) & is_cold[items]
    counts = np.bincount(users[asked], minlength=histories.n_users)
    relevant = Sequences(items[asked], np.concatenate([[0], np.cumsum(counts)]))
    # Of the items that nobody has had, only those that somebody turns to later are asked for, but all are candidates.
    projection = _train(films, is_cold, histories, config, told)
    cold = ColdItems(histories, relevant, is_cold)
    results = _of_cold_items(films, projection, cold, ~is_cold, told.seed, "global", 10)
    return results | {"global.relevant_items": float(len(np.unique(items[asked])))}


if __name__ == "__main__":
    main()
