"""The queue: items, lanes, listings and publications as database rows."""
