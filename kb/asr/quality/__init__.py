"""Quality of the text: checks that flag windows, their repair, and the quality report."""
