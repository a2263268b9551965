"""SARSA: the action values of the policy that was logged."""

from torch import Tensor

from workers.models.learner import Values
from workers.models.q_values import ValueModel


class Sarsa(ValueModel):
    """SARSA over user and item vectors.

    ``score(u, j) = Q(s, j) = u · v_j``, with the loss of :class:`ValueModel` and the value of what was chosen there::

        V(s, a) = Q⁻(s, a)

    so that values are those of going on as the logging policy does: to take the best of them is one step of policy
    improvement, and needs no value of an action that was never tried. Shapes: item vectors ``(n_items, dim)``, user
    vectors ``(n_users, dim)``.

    References:
        Rummery and Niranjan, On-line Q-learning using connectionist systems, 1994. Sutton and Barto, Reinforcement
        Learning, 2018, chapter 6.
    """

    name = "sarsa"
    reads_weights = False

    @staticmethod
    def value_of(learnt: Values, copied: Values, places: Tensor, items: Tensor, is_seen: Tensor) -> Tensor:
        """The copy's value of what was chosen."""
        return copied.of(places, items)
