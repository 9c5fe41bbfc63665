"""Configs of other trainers read into ours: every field mapped, implied, or named as one without a counterpart."""
