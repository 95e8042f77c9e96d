"""Batching: windows of all items in progress share the batches of one engine."""
