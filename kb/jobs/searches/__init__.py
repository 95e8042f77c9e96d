"""Saved searches, and the alerts of new items that have their words."""
