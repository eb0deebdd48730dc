"""The loop, gradient descent and EM."""
