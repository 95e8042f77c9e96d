"""Whisper with transformers, and with our own decoding, word times and batching."""
