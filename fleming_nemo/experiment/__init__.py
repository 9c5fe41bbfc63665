"""NeMo's `exp_manager` block, mapped onto the run directory."""
