"""Intros and sponsor reads that recur in a channel, found by their sound and by their words."""
