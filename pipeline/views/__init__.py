"""What people are shown of a run on a terminal."""
