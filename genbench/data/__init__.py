"""Datasets: where they come from, how they are read and split, and what a batch is."""
