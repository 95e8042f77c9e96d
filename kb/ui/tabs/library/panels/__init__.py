"""Parts of an item's page, one subject each."""
