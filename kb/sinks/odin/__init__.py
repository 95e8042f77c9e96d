"""ODIN AI: the remote knowledge base."""
