"""Files that vLLM's own Python loads: the folder goes on its PYTHONPATH, so they import nothing of this package."""
