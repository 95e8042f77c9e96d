"""The commands of `kb`, by subject."""
