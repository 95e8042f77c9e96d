"""GPU tab."""
