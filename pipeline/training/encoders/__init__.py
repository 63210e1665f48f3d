"""Networks: one module for each kind of input, and the part that they share."""
