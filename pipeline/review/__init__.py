"""What people say of patches, and from which step on the chain honours it."""
