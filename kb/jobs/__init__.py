"""The flow of one item through all stages, in order, and what was left behind at each."""
