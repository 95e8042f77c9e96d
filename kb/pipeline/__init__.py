"""The stages of one item, in order."""
