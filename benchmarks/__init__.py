"""Benchmarks: each prints one JSON object on stdout, progress on stderr."""
