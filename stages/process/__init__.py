"""The process a stage runs in: its devices and ranks, its signals, memory and progress."""
