"""The worker: the steps of one item, durable and retried."""
