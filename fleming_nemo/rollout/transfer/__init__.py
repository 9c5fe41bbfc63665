"""Weights of the policy, streamed out of its Megatron shards into the servers that generate with it."""
