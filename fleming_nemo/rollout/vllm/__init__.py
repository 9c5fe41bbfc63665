"""Rollouts from vLLM servers: their environment, processes, addresses, guard, and the engine that speaks to them."""
