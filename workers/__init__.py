"""The processes that compute: encoders, models, the pipeline and its jobs."""

import os

# Threads of torch that spin while they wait slow training badly where the cores are shared with anything.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
