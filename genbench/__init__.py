"""genbench: one command, one loop, classical and deep generative models side by side."""

__version__ = "0.1.0"
