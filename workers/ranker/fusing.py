"""Stage ``fuse`` by a ranker: what the sources say is read, and what is recommended written, in binary form."""

from collections.abc import Iterator

import numpy as np

from recsql.queries import QUERIES
from workers.binary import within
from workers.ranker.candidates import Candidates, Floats, among_best, read_candidates
from workers.ranker.features import FeatureReader, component_of, feature_names
from workers.ranker.model import N_RERANKED, Ranker
from workers.run import Progress, Run

N_RECOMMENDED = 100
"""Items of a user that are kept, as many as ``recsql.fuse`` keeps."""

_USERS_AT_ONCE = 250
_COLUMNS = {
    "run_no": "int4",
    "user_no": "int4",
    "rank": "int2",
    "item_no": "int4",
    "score": "float4",
    "parts": "jsonb",
}


def fuse_by_ranker(run: Run, policy_no: int, ranker: Ranker, progress: Progress) -> int:
    """Recommend by a ranker, in place of what was recommended; the number of rows.

    Args:
        run: that has candidates and scores.
        policy_no: the ranker's policy, noted with the run.
        ranker: of the policy; sources that it knows and the run does not have are silent.
        progress: called after each range of users.
    """
    numbers = {name: number for number, name in run.connection.execute(QUERIES["source_numbers"]).fetchall()}
    sources = [(numbers.get(name, -1), name) for name in ranker.sources]
    reader, chunks, written = FeatureReader(run), run.user_chunks(_USERS_AT_ONCE), 0
    for done, (first, last) in enumerate(chunks, start=1):
        found = read_candidates(run, sources, first, last)
        near = found.take(among_best(found, found.parts @ ranker.weights, N_RERANKED))
        features = reader.of(near)
        best = among_best(near, ranker.scores(near, features), N_RECOMMENDED)
        shown = near.take(best)
        contributions = ranked_parts(ranker, shown, features[best])
        with run.connection.transaction():
            run.connection.execute(QUERIES["clear_recommendations"], run.parameters(first=first, last=last))
            written += _write(run, shown, *contributions)
        progress(done, len(chunks), "")
    run.connection.execute(QUERIES["note_policy"], run.parameters(policy_no=policy_no))
    return written


def ranked_parts(ranker: Ranker, shown: Candidates, features: Floats) -> tuple[list[str], Floats]:
    """Components and what each adds to the scores, shape ``(n_pairs, n_components)``, to nine digits behind the point.

    Weighted parts are told under the name of their source; what the network adds, under ``ranker`` and a source, a
    feature of the item, or by itself.
    """
    of_feature = [component_of(name) for name in feature_names(ranker.sources)]
    added = sorted(set(of_feature))
    place = np.array([added.index(component) for component in of_feature])
    by_feature, summed = ranker.attributions(features), np.zeros((len(features), len(added)))
    for column, name in enumerate(place):
        summed[:, name] += by_feature[:, column]
    parts = np.concatenate([shown.parts * ranker.weights, summed], axis=1)
    return [*ranker.sources, *added], np.round(parts, 9)


def _write(run: Run, shown: Candidates, components: list[str], parts: Floats) -> int:
    scores = parts.sum(axis=1)
    order = np.lexsort((shown.item_nos, -scores, shown.owner))
    users, ranks = shown.user_nos[shown.owner], within(shown.lengths) + 1
    columns = ", ".join(_COLUMNS)
    statement = f"copy recsql.recommendation ({columns}) from stdin (format binary)"
    with run.connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        copy.set_types(list(_COLUMNS.values()))
        rows = zip(users.tolist(), ranks.tolist(), shown.item_nos[order].tolist(), scores[order].tolist(), strict=True)
        for (user, rank, item, score), told in zip(rows, _told(components, parts[order]), strict=True):
            copy.write_row((run.run_no, user, rank, item, score, told))
    return len(order)


def _told(components: list[str], parts: Floats) -> Iterator[dict[str, float]]:
    """Components that are not 0, by their names, row by row."""
    for row in parts.tolist():
        yield {name: part for name, part in zip(components, row, strict=True) if part}
