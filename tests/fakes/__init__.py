"""Real servers on loopback that speak like the services we use, driven by real clients."""
