"""Tables in every format, compression and encoding that `ingest` takes: read whole, or as a stream."""
