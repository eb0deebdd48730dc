"""The checks of the diagnosis, one module per kind of problem."""
