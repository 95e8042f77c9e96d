"""Library tab."""
