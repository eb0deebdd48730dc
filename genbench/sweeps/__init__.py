"""Sweeps: many runs of one command."""
