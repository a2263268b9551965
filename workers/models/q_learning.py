"""Q-learning: the action values of the best policy, learnt from what another one did."""

from torch import Tensor

from workers.models.learner import Values
from workers.models.q_values import ValueModel


class QLearning(ValueModel):
    """Q-learning over user and item vectors.

    ``score(u, j) = Q(s, j) = u · v_j``, with the loss of :class:`ValueModel` and the value of the best action there::

        V(s) = max_j Q⁻(s, j)

    so that values are those of a policy that goes on with the best actions, whoever chose those that were logged. With
    ``discount`` 0 it is a supervised model of the reward. Shapes: item vectors ``(n_items, dim)``, user vectors
    ``(n_users, dim)``.

    References:
        Watkins and Dayan, Q-learning, Machine Learning 1992. Mnih et al., Human-level control through deep
        reinforcement learning, Nature 2015 (the copy). Xin et al., Supervised Advantage Actor-Critic for Recommender
        Systems, WSDM 2022 (negatives of reward 0).
    """

    name = "q_learning"
    reads_weights = False

    @staticmethod
    def value_of(learnt: Values, copied: Values, places: Tensor, items: Tensor, is_seen: Tensor) -> Tensor:
        """The copy's value of what it thinks best."""
        return copied.of(places, copied.best(places, is_seen))
