"""The digest of a day or a week: composed from the database, written to a file, sent."""
