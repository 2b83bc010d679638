"""Ways to run a stage, one file each."""
