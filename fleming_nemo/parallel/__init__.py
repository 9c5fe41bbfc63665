"""Process groups, the CPU backend of megatron-core, and layer specifications."""
