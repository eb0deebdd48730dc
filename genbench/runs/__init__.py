"""The folder of a run: its lock, settings, status, checkpoints, TensorBoard events and pictures."""
