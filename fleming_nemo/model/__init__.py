"""Qwen2.5 and Qwen3 on megatron-core's GPTModel, and their Hugging Face names."""
