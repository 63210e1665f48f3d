"""Programs for people, one command a file."""
