"""Reinforcement learning with verifiable rewards: GRPO in two stages."""
