"""Trained models as files that other programs read: weights, programs, a card, samples."""
