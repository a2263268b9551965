"""What ``recsql report`` shows of a run: its figures, charts of them, and one HTML page that needs nothing else."""
