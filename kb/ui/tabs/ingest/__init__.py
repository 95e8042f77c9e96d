"""Ingest tab."""
