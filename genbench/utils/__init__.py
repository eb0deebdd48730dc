"""Tools without knowledge of models: errors, signals, random numbers, files, locks, console."""
