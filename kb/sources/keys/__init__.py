"""API keys: storage, rotation, quotas."""
