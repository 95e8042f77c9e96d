"""Speech recognition: detected speech, windows cut at pauses, an engine, words with times."""

SAMPLE_RATE = 16_000
"""Samples a second of all audio in this package: mono, float32, -1..1."""
