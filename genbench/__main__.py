"""`genbench` and `python -m genbench`: listen to signals, then import and run the command line."""

from genbench.utils import signals


def main() -> None:
    """Run the command line and exit with its status."""
    signals.listen()
    from genbench.cli.main import main as run  # takes a while, in which Ctrl-C is a request to stop

    run()


if __name__ == "__main__":
    main()
