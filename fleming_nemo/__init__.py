"""Fleming-R1 on Megatron-Core: reasoning data, cold-start SFT, two-stage GRPO, evaluation."""

__version__ = "0.1.0"
