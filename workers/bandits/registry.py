"""The kinds of bandit by their names."""

from workers.bandits.base import Bandit, BanditConfig
from workers.bandits.greedy import Greedy
from workers.bandits.linucb import LinUCB
from workers.bandits.thompson import Thompson

KINDS: dict[str, type[Bandit]] = {kind.name: kind for kind in (LinUCB, Thompson, Greedy)}


def make_bandit(config: BanditConfig) -> Bandit:
    """The bandit that a configuration asks for."""
    return KINDS[config.bandit](config)
