"""What is known of each patch: its place, whose it is, what it is called, who said so."""
