"""Text as a modality: a raw text is cleaned, masked, split into units and encoded as token ids."""
