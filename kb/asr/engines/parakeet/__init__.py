"""NVIDIA Parakeet TDT through transformers."""
