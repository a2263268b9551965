"""What the ranker knows of a candidate beside its parts: how sources see it, what it is, and whom it is for."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from workers.interactions import rows_of
from workers.ranker.candidates import Candidates, Floats
from workers.run import Run
from workers.scoring import pair_products

OF_SOURCE = ("log", "reciprocal", "present", "below")
"""Features of each source: log of the part, reciprocal of the rank, whether it says anything, and how far, on its own
scale, the item is below its best."""

OF_ITEM = ("popularity", "trending", "newness", "content", "domain", "sources")
"""Features of the item: log of its users, share of its trend in the largest, log of days since it was first had, cosine
of its content to the mean of the user's recent items, share of the user's history in its domain, share of sources with
it."""

_SMALLEST_PART = 0.02
_RANK_SCALE = 10.0
_RECENT = 10
_SECONDS_A_DAY = 86400


def feature_names(sources: list[str]) -> list[str]:
    """Names of the columns of :meth:`FeatureReader.of`; the last, ``history``, is the user's."""
    return [f"{kind} {source}" for kind in OF_SOURCE for source in sources] + [*OF_ITEM, "history"]


def component_of(feature: str) -> str:
    """The component of a score that what a feature adds is told as: sources keep their name behind ``ranker``."""
    kind, _, source = feature.partition(" ")
    if source or kind in ("popularity", "trending", "content"):
        return f"ranker {source or kind}"
    return "ranker"


def silent(n_sources: int) -> Floats:
    """What the features of sources are where no source says anything, shape ``(len(OF_SOURCE) * n_sources,)``."""
    return np.repeat([np.log(_SMALLEST_PART), 0, 0, 0], n_sources)


def has_history(features: Floats) -> NDArray[np.bool_]:
    """Whether the user of each candidate has a history, shape ``(n_pairs,)``."""
    return features[:, -1] > 0


@dataclass(frozen=True)
class FeatureReader:
    """Features of a run's candidates.

    Attributes:
        run: whose candidates they are.
    """

    run: Run

    def of(self, found: Candidates) -> Floats:
        """Features of candidates, shape ``(n_pairs, n_features)``; see :func:`feature_names`."""
        present = found.ranks > 0
        owner = found.owner
        items = rows_of(self.run.data.item_nos, found.item_nos)
        users = self.run.data.user_rows(found.user_nos)
        columns = [
            np.log(found.parts * present + _SMALLEST_PART),
            np.where(present, _RANK_SCALE / (_RANK_SCALE + found.ranks), 0),
            present,
            (found.parts - 1) * found.spreads[owner] * present,
            self._items[items],
            self._nearness(users, owner, items)[:, None],
            self._domain_share(users, owner, items)[:, None],
            present.mean(axis=1, keepdims=True),
            np.log1p(self.history_lengths(found.user_nos))[owner, None],
        ]
        return np.concatenate(columns, axis=1, dtype=np.float32)

    def history_lengths(self, user_nos: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many positive interactions users have, shape ``(n_users,)``."""
        lengths = np.append(np.diff(self.run.data.sequences.offsets), 0)
        return lengths[self.run.data.user_rows(user_nos)]

    @cached_property
    def _items(self) -> Floats:
        """Popularity, trend and newness of each item row, shape ``(n_items, 3)``."""
        item_nos, n_users, trends = self.run.columns(
            "item_trends", {"item_no": np.int64, "n_users": np.float64, "trend": np.float64}
        )
        items, found = self.run.data.sequences, np.zeros((len(self.run.data.item_nos) + 1, 3), dtype=np.float32)
        rows = rows_of(self.run.data.item_nos, item_nos)
        found[rows, 0] = np.log1p(n_users)
        found[rows, 1] = trends / max(trends.max(initial=0), 1e-9)
        assert items.times is not None
        newest = items.times.max(initial=0)
        first = np.full(len(found), newest)
        np.minimum.at(first, items.items, items.times)
        found[:, 2] = np.log1p((newest - first) / _SECONDS_A_DAY)
        return found

    @cached_property
    def _domains(self) -> NDArray[np.int64]:
        """Number of each item row's domain, shape ``(n_items,)``."""
        item_nos, domains = self.run.columns("item_domains", {"item_no": np.int64, "domain": np.int64})
        return domains[rows_of(item_nos, self.run.data.item_nos)]

    @cached_property
    def _content(self) -> tuple[Floats, Floats] | None:
        """Tastes of user rows and contents of item rows, unit vectors or 0; None without contents."""
        data = self.run.data
        if data.content is None:
            return None
        contents = _unit(np.nan_to_num(data.content))
        lengths = np.diff(data.sequences.offsets)
        tastes = np.zeros((len(lengths), contents.shape[1]), dtype=np.float32)
        for step in range(_RECENT):
            has = np.flatnonzero(lengths > step)
            tastes[has] += contents[data.sequences.items[data.sequences.offsets[has + 1] - 1 - step]]
        return _unit(tastes), contents

    def _nearness(self, users: NDArray[np.int64], owner: NDArray[np.int64], items: NDArray[np.int64]) -> Floats:
        found = np.zeros(len(items), dtype=np.float32)
        if self._content is not None:
            tastes, contents = self._content
            known = np.flatnonzero((users >= 0)[owner] & (items >= 0))
            found[known] = pair_products(tastes[users], contents, owner[known], items[known])
        return found

    @cached_property
    def _shares(self) -> Floats:
        """Share of each domain in each user row's history, shape ``(n_users, n_domains)``."""
        sequences, n_domains = self.run.data.sequences, int(self._domains.max(initial=0)) + 1
        lengths = np.diff(sequences.offsets)
        places = np.repeat(np.arange(len(lengths)), lengths) * n_domains + self._domains[sequences.items]
        counts = np.bincount(places, minlength=len(lengths) * n_domains).reshape(-1, n_domains)
        return (counts / np.maximum(lengths, 1)[:, None]).astype(np.float32)

    def _domain_share(self, users: NDArray[np.int64], owner: NDArray[np.int64], items: NDArray[np.int64]) -> Floats:
        shares = self._shares
        return np.where((users >= 0)[owner], shares[users[owner], self._domains[items]], 0).astype(np.float32)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths == 0, 1, lengths)
