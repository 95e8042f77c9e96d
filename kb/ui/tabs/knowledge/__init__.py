"""Knowledge tab."""
