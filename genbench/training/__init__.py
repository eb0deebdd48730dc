"""The training loop, gradient descent and EM."""
