"""A grade: submissions are read, run in a sandbox, judged outside of it, and written up. No submission is imported here."""
