"""Text as an input: a raw text is cleaned, masked, split into units and turned into ids."""
