"""Whisper through transformers, with decoding, word times and batching of our own."""
