"""What a peer in an interpreter of its own is given, and the measure of a ranking, by numpy alone.

The scripts that such an interpreter runs stand beside this file and import it as ``peer_data``, so nothing of this
project is imported here.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

K = 10
_USERS_AT_ONCE = 500


@dataclass(frozen=True)
class PeerData:
    """What users had, and what they are asked about; an npz holds one array an attribute.

    Attributes:
        n_items: size of the catalogue.
        items: item rows, shape ``(n_interactions,)``, user by user, oldest first.
        offsets: where each user begins in ``items``, shape ``(n_users + 1,)``.
        relevant: held-out item rows, user by user, shape ``(n_relevant,)``; empty where nothing is to be measured.
        relevant_offsets: where each user begins in ``relevant``, shaped as ``offsets``; a user with none is not asked.
        n_new: users with held-out items who are not among these users; whatever ranks, they count 0.
    """

    n_items: int
    items: Any
    offsets: Any
    relevant: Any
    relevant_offsets: Any
    n_new: int = 0

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an npz."""
        with np.load(path) as data:
            found = {field.name: data[field.name] for field in fields(cls)}
        return cls(**found | {name: int(found[name]) for name in ("n_items", "n_new")})

    def save(self, path: Path) -> None:
        """Write an npz."""
        np.savez(path, **asdict(self))

    @property
    def n_users(self) -> int:
        """How many users have a history."""
        return len(self.offsets) - 1

    @property
    def asked(self) -> Any:
        """User rows that have held-out items, ascending."""
        return np.flatnonzero(np.diff(self.relevant_offsets))

    def of(self, user: int) -> Any:
        """One user's item rows, oldest first."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def relevant_to(self, user: int) -> Any:
        """Held-out item rows of one user."""
        return self.relevant[self.relevant_offsets[user] : self.relevant_offsets[user + 1]]

    def ndcg(self, scorer: Callable[[Any], Any]) -> float:
        """Mean NDCG@10 over those who are asked, new users among them.

        Args:
            scorer: scores of all items, shape ``(len(rows), n_items)``, for an array of user rows.
        """
        asked, total = self.asked, 0.0
        for start in range(0, len(asked), _USERS_AT_ONCE):
            rows = asked[start : start + _USERS_AT_ONCE]
            for user, scores in zip(rows, scorer(rows), strict=True):
                total += quality(scores, self.of(user), self.relevant_to(user))[0]
        return total / max(len(asked) + self.n_new, 1)


def quality(scores: Any, had: Any, relevant: Any) -> tuple[float, float]:
    """NDCG@10 and recall@10 of one user's ranking of the whole catalogue less what the user had.

    Args:
        scores: of all items, shape ``(n_items,)``; NaN or -inf where there is none, which is not ranked.
        had: item rows that the user had.
        relevant: item rows that are relevant, at least one. Of equal scores an irrelevant item comes first.
    """
    ranked = np.nan_to_num(scores, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    ranked[had] = -np.inf
    is_relevant = np.zeros(len(ranked), dtype=bool)
    is_relevant[relevant] = True
    best = np.lexsort((is_relevant, -ranked))[:K]
    is_hit = is_relevant[best] & np.isfinite(ranked[best])
    discounts = 1 / np.log2(np.arange(2, K + 2))
    ideal = discounts[: min(len(relevant), K)].sum()
    return float(discounts[: len(best)][is_hit].sum() / ideal), float(is_hit.sum() / len(relevant))
