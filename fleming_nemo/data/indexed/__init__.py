"""Megatron indexed datasets: built by several processes, packed, blended and read, without torch."""
