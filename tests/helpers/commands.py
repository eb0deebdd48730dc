"""Commands that tests share."""

TINY = ["epochs=2", "dataset.limit=100", "device=cpu", "evaluation=none"]


def put_own(tmp_path, **texts):
    """Files of a user's own, by name with `__` for a slash, in the folder `own`."""
    for name, text in texts.items():
        file = tmp_path / "own" / f"{name.replace('__', '/')}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
