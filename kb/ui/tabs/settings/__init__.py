"""Settings tab."""
