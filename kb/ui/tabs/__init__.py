"""The tabs of the dashboard: one folder a tab."""
