"""Windows: stretches of speech of at most 30 s, cut at pauses."""
