"""Rules that the raw table must satisfy: of every table, and of each kind of input in a module of its name."""
