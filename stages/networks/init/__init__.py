"""First weights: what a network takes over from another before it is trained, the same for teacher and student."""
