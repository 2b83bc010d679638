"""The verb `prepare`: units listed, skipped, made in worker processes, sealed, published, and shown."""
