"""One file per model: the paper's objective and little else; beside them, what several models share."""
