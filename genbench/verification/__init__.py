"""Recipes that check the models against exact values and published numbers."""
