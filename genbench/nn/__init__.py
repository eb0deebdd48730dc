"""Neural networks, and the likelihoods that stand at their end."""
