"""The whole chain beside WILDS' Noisy Student and scikit-learn's self-training: time, memory, accuracy, a kill."""
