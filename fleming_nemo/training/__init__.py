"""What SFT and GRPO share: the engine, log-probabilities, checkpoints, the run directory."""
