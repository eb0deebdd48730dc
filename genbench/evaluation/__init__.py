"""What a report card holds: measures by kind, each a function listed by `@measure` (see `genbench.card`)."""
