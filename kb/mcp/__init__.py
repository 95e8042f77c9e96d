"""The library for assistants: a server of the Model Context Protocol (`kb mcp`)."""
