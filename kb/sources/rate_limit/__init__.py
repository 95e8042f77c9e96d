"""Limits on requests and downloads, across processes."""
