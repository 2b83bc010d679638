"""Evidence: what a chain makes of few labels, beside every baseline it has to beat."""
