"""`python -m genbench` is the command `genbench`."""

from genbench.cli.main import main

main()
