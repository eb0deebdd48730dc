"""Programs in which the curves of a run are watched, each behind the same small interface."""
