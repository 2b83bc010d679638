"""Cross-validation over the labelled patches: how many rounds are worth it, where there is no validation set."""
