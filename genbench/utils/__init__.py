"""What every package uses and that knows nothing of models: errors, signals, random numbers, files, console."""
