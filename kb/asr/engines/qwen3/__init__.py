"""Qwen3-ASR and its forced aligner through transformers."""
