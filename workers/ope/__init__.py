"""Off-policy evaluation: what a ranking policy would have been worth, from the logs of another one.

:func:`workers.ope.evaluation.evaluate` takes a :class:`~workers.ope.logs.SlateLog` and a
:class:`~workers.ope.logs.SlateTarget`, both plain arrays, and gives all estimates and a verdict; nothing here but
:mod:`workers.ope.store` knows a database.
"""
