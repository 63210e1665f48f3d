"""Programs that answer: the HTTP service, and whole tables."""
