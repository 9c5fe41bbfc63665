"""Supervised fine-tuning: the chain-of-thought cold start."""
