"""The steps from each release's tables to the next, run at start."""
