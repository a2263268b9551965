"""Models: one file each behind the interface of :mod:`workers.models.base`."""
