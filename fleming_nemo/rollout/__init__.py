"""Rollouts: engines that sample responses, and episodes that judge them."""
