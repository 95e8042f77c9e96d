"""Jobs: the queue of items, the worker that processes them, and publishing in the foreground."""
