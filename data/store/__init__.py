"""The patch store: all patches of a chain in one file, written once, mapped into memory."""
