"""Queue tab."""
