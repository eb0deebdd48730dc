"""`genbench` and `python -m genbench`: the command line, which is imported once signals are listened to."""

from genbench.utils import signals


def main() -> None:
    """Run the command line and exit with its status."""
    signals.listen()
    from genbench.cli.main import main as run  # takes a while, in which Ctrl-C is a request to stop

    run()


if __name__ == "__main__":
    main()
