"""The process that runs the model, and estimates of its memory and speed."""
