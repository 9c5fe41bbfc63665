"""Static HTML reports of runs."""
