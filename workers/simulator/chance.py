"""Random numbers that belong to what they decide, not to the order in which they are asked for.

Each is a hash of the seed, its purpose, and the user, session and request that it is for. So policies are compared on
common random numbers: whatever two of them do, a user has the same candidates at the same request and reacts to them
by the same draws.

Reference: Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011; the hash is that of Steele, Lea and
Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from workers.models.base import IntArray

_STEP = np.uint64(0x9E3779B97F4A7C15)


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


class Chance:
    """The random numbers of one seed.

    Args:
        seed: any whole number from 0.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._bases: dict[str, np.uint64] = {}

    def uniforms(self, purpose: str, n: int, *keys: IntArray) -> NDArray[np.float64]:
        """Numbers between 0 and 1, both excluded.

        Args:
            purpose: what they decide.
            n: how many for each row.
            keys: whole numbers that say which rows they are, each of shape ``(n_rows,)``.

        Returns:
            Shape ``(n_rows, n)``; rows of equal keys are equal.
        """
        bits = np.full(len(keys[0]), self._base(purpose))
        for key in keys:
            bits = _mix(bits + (key.astype(np.uint64) + np.uint64(1)) * _STEP)
        columns = np.arange(1, n + 1, dtype=np.uint64) * _STEP
        drawn = _mix(bits[:, None] + columns[None, :])
        return ((drawn >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52

    def normals(self, purpose: str, n: int, *keys: IntArray) -> NDArray[np.float64]:
        """As :meth:`uniforms`, of the standard normal distribution."""
        return ndtri(self.uniforms(purpose, n, *keys))

    def _base(self, purpose: str) -> np.uint64:
        if purpose not in self._bases:
            digest = hashlib.sha256(f"{self.seed} {purpose}".encode()).digest()
            self._bases[purpose] = np.uint64(int.from_bytes(digest[:8], "little"))
        return self._bases[purpose]
