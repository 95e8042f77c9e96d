"""The HTTP API: transcriptions in the form of OpenAI's service, for other programs."""
