"""The process that holds the model, and what fits into its memory."""
