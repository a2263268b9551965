"""Contextual bandits: rankings that explore what little is known of, and learn from what comes of it at once.

One linear model of the reward is shared by all items, so that a new one is known by its content from its first
impression, and each item may differ from it. The kinds, one file each: :mod:`workers.bandits.linucb`,
:mod:`workers.bandits.thompson`, :mod:`workers.bandits.greedy`.
"""
