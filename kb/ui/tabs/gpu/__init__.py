"""This machine, a part of the Settings tab."""
