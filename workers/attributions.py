"""Stage ``attributions``: what each of a user's newest events adds to what a model of vectors says of the user.

By occlusion: with ``u`` the user's vector and ``u_(-j)`` what the model makes of the history without event j,
``d_j = u - u_(-j)`` is kept, so that ``⟨d_j, v_i⟩`` is by how much less the model would score item i without the event.

Reference:
    Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014 (occlusion).
"""

from collections.abc import Iterator

import numpy as np

from recsql.queries import QUERIES
from workers.binary import within, write_attributions
from workers.models.base import FloatArray, IntArray, Model, Sequences
from workers.run import Progress, Run
from workers.versions import Version, find_version, histories_of, kept_version, load_model, reads_weights

N_EVENTS = 10
"""Newest events of a user that are left out, one at a time."""

_INTERACTIONS_AT_ONCE = 2**20


def attribute(run: Run, progress: Progress) -> int:
    """Write the attributions of every version of the run that has vectors; the number of rows.

    Those of users of whom nothing has changed are taken over where the run took the version over.
    """
    written = 0
    for name in run.models():
        version = find_version(run, name)
        if version is not None and run.one("version_dim", version_no=version.version_no) is not None:
            written += _attribute_by(run, name, version, progress)
    run.connection.execute(QUERIES["analyze_attributions"])
    return written


def _attribute_by(run: Run, name: str, version: Version, progress: Progress) -> int:
    number, kept = version.version_no, kept_version(run, name, version)
    run.one("reset_attributions", version_no=number)
    done: list[int] = []
    if kept is not None:
        unchanged = run.unchanged_users(reads_weights(run, name)).tolist()
        parameters = {"version_no": number, "kept_no": kept.version_no, "user_nos": unchanged}
        done = [user_no for (user_no,) in run.connection.execute(QUERIES["keep_attributions"], parameters)]
    users = np.flatnonzero(~np.isin(run.data.user_nos, done))
    if not len(users):
        return 0
    model, histories = load_model(run, name, version), histories_of(run.data, version).take(users)
    keys = run.data.item_nos if version.item_nos is None else version.item_nos
    written = 0
    for begin, end in _ranges(histories):
        part = histories.take(np.arange(begin, end))
        places, differences = occlusions(model, part)
        owners = np.searchsorted(part.offsets, places, side="right") - 1
        user_nos, item_nos = run.data.user_nos[users[begin:end]][owners], keys[part.items[places]]
        written += write_attributions(run.connection, number, user_nos, item_nos, differences)
        progress(end, len(users), name)
    return written


def occlusions(model: Model, histories: Sequences, n_events: int = N_EVENTS) -> tuple[IntArray, FloatArray]:
    """Differences that single events make to user vectors.

    Args:
        model: one that has vectors.
        histories: one sequence a user.
        n_events: how many of a user's newest events are left out, one at a time.

    Returns:
        The events that the model knows, as indices into the interactions, shape ``(n,)``; the user's vector less that
        of the history without the event, which of a history of one event is 0, shape ``(n, dim)``; rows of NaN of
        users without a vector.
    """
    lengths = np.diff(histories.offsets)
    counts = np.minimum(lengths, n_events)
    owners = np.repeat(np.arange(histories.n_users), counts)
    places = np.repeat(histories.offsets[1:], counts) - 1 - within(counts)
    is_known = histories.items[places] >= 0
    owners, places = owners[is_known], places[is_known]
    shortened = _without(histories, owners, places)
    whole, rest = model.user_vectors(histories), model.user_vectors(shortened)
    assert whole is not None
    assert rest is not None
    return places, whole[owners] - np.nan_to_num(rest)


def _without(histories: Sequences, owners: IntArray, places: IntArray) -> Sequences:
    """The histories of ``owners``, each without the interaction at one of ``places``, both of shape ``(n,)``."""
    lengths = np.diff(histories.offsets)[owners] - 1
    chosen = np.repeat(histories.offsets[owners], lengths) + within(lengths)
    chosen += chosen >= np.repeat(places, lengths)
    return histories.pick(chosen, np.concatenate([[0], np.cumsum(lengths)]))


def _ranges(histories: Sequences) -> Iterator[tuple[int, int]]:
    """Ranges of users, ends excluded, whose histories without an event are about as long as what is read at once."""
    lengths = np.diff(histories.offsets)
    block = np.cumsum(lengths * np.minimum(lengths, N_EVENTS)) // _INTERACTIONS_AT_ONCE
    begins = np.flatnonzero(np.diff(block, prepend=-1))
    return zip(begins.tolist(), [*begins[1:].tolist(), len(lengths)], strict=True)
