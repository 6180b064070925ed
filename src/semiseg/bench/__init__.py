"""Benchmarks: each returns rows of figures with their number, spread, hardware and versions."""
