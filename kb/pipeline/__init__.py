"""The way of one item through all stages, in order."""
