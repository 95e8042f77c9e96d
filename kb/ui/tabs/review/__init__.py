"""The Review tab: the items whose transcript a person should check."""
