"""`report`: what a chain believes, on one page that needs nothing else."""
