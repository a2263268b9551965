"""The fitted ranker: its scores, what of them each feature is responsible for, and how a policy keeps it."""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from recsql.errors import ModelError
from workers.ranker.candidates import Candidates, Floats
from workers.ranker.features import OF_SOURCE, feature_names, has_history, silent

N_RERANKED = 200
"""Candidates of a user, the best by the weighted sum, that are ranked anew."""

_FURTHEST = 5.0
"""Standard deviations from the mean beyond which a feature counts no more."""


_ARRAYS = ("means", "deviations", "hidden", "biases", "outputs")


@dataclass(frozen=True)
class Ranker:
    """What is added to the weighted sum of the parts ``x``, by a network of one hidden layer on features ``f``.

    With ``z`` the standardised features, and ``z₀`` those of the same user and an average item of which no source says
    anything::

        score = w · x + Σ_k v_k (tanh(a_k · z + b_k) - tanh(a_k · z₀ + b_k))

    so that an item is worth what speaks for it. To users without a history nothing is added: all of them have the same
    list, so what the users of one week say of it is one observation, and says little of the next.

    Attributes:
        sources: names, in the order of columns.
        weights: ``w`` ≥ 0, shape ``(n_sources,)``.
        means: of the features, shape ``(n_features,)``.
        deviations: of the features, infinite for those that did not vary, shape ``(n_features,)``.
        hidden: ``a``, shape ``(n_units, n_features)``.
        biases: ``b``, shape ``(n_units,)``.
        outputs: ``v``, shape ``(n_units,)``.
    """

    sources: list[str]
    weights: Floats
    means: Floats
    deviations: Floats
    hidden: Floats
    biases: Floats
    outputs: Floats

    def standardised(self, features: Floats) -> Floats:
        """Features as the network reads them, of the same shape; NaN counts as the mean."""
        return np.clip(np.nan_to_num((features - self.means) / self.deviations), -_FURTHEST, _FURTHEST)

    def scores(self, found: Candidates, features: Floats) -> Floats:
        """Scores of candidates, shape ``(n_pairs,)``."""
        end, start = (np.tanh(read @ self.hidden.T + self.biases) for read in self._path(features))
        return found.parts @ self.weights + (end - start) @ self.outputs

    def attributions(self, features: Floats) -> Floats:
        """What each feature adds to the scores, by integrated gradients from ``z₀`` to ``z``.

        Along the straight line every unit reads ``a · z₀ + t (a · z - a · z₀)``, so the integral of its slope is known,
        and no steps are taken: the attributions sum to what the network adds as exactly as numbers are added.

        Returns:
            Shape ``(n_pairs, n_features)``.

        References:
            Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, ICML 2017.
        """
        read, silent_read = self._path(features.astype(np.float64))
        way = read - silent_read
        end = read @ self.hidden.T + self.biases
        distance = way @ self.hidden.T
        start = np.tanh(end - distance)
        is_near = np.abs(distance) < 1e-6
        slopes = np.where(is_near, 1 - start**2, (np.tanh(end) - start) / np.where(is_near, 1, distance))
        return way * ((slopes * self.outputs) @ self.hidden)

    def _path(self, features: Floats) -> tuple[Floats, Floats]:
        """Standardised features ``z``, and ``z₀``: with the sources silent, the item average and the user as is."""
        n_of_sources, read = len(OF_SOURCE) * len(self.sources), self.standardised(features)
        start = self.means.copy()
        start[:n_of_sources] = silent(len(self.sources))
        silent_read = np.repeat(self.standardised(start)[None], len(read), axis=0)
        silent_read[:, -1] = read[:, -1]
        return read, np.where(has_history(features)[:, None], silent_read, read)

    def to_config(self) -> dict[str, Any]:
        """As ``fusion_policy.config`` keeps it, beside the policy's weights."""
        arrays = {name: np.ascontiguousarray(getattr(self, name), dtype=np.float32) for name in _ARRAYS}
        return {
            "sources": self.sources,
            "features": feature_names(self.sources),
            "arrays": b64encode(save(arrays)).decode(),
        }

    @classmethod
    def from_policy(cls, weights: dict[str, float], config: dict[str, Any]) -> "Ranker":
        """The ranker of a policy.

        Args:
            weights: of the policy, by source; one that has none counts 0.
            config: what :meth:`to_config` gave.

        Raises:
            ModelError: it is damaged, or was fitted on features that this release does not have.
        """
        try:
            sources, arrays = list(config["sources"]), load(b64decode(config["arrays"]))
            ranker = cls(sources, np.array([weights.get(name, 0.0) for name in sources]), **arrays)
            shapes = len(ranker.means), len(ranker.biases), len(ranker.outputs)
        except (KeyError, TypeError, ValueError, SafetensorError) as error:
            raise ModelError("The policy holds no ranker, or a damaged one: fit it again (recsql run).") from error
        n_features, n_units = len(feature_names(sources)), shapes[1]
        if (
            config.get("features") != feature_names(sources)
            or shapes != (n_features, n_units, n_units)
            or ranker.hidden.shape != (n_units, n_features)
        ):
            raise ModelError("The ranker was fitted on the features of another release: fit it again (recsql run).")
        return ranker
