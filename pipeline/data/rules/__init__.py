"""Rules that the raw table must keep: of every table, and of each kind of input in a module of its name."""
