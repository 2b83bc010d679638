"""Drawing of H&E-like patches: shapes, tissues and stain, pure functions of a keyed generator."""
