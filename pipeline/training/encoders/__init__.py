"""Networks that read arrays, one module for each modality, and what their layers are."""
