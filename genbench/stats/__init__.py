"""Statistics that depend on no model: divergences between samples, and intervals of estimates."""
