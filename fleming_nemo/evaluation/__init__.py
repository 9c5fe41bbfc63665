"""Benchmarks, the evaluation runner and its statistics."""
