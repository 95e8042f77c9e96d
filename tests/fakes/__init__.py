"""Servers on loopback with the interfaces of the services we use, for real clients."""
