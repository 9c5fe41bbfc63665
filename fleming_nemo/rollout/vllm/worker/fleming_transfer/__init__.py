"""Weights from the trainer into vLLM: what both sides share, and the engine's side of it.

vLLM's Python finds this package by its PYTHONPATH (`--worker-extension-cls fleming_transfer.extension.Worker`), the
trainer as a part of its own.  Only `extension` and `backend` import vllm; everything imports torch and nothing else.
"""
