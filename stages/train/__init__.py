"""Train: teacher and student are one stage with other inputs and other noise."""
