"""Rules that the raw table must satisfy: of every table, and of each modality in a module of its name."""
