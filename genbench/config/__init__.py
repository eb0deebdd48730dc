"""Settings: what is declared, what a command line asks for, and whether the two agree."""
