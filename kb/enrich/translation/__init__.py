"""The step that translates an item's words and keeps their times."""
