"""Networks that read arrays, one module for each kind of input, and what their layers are."""
