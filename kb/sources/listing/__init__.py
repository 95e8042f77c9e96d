"""Listings: the media behind one reference, filtered."""
