"""`python -m genbench` is the command `genbench`."""

from .cli import main

main()
