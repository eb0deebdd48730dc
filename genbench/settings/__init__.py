"""What every setting may be, declared as typed classes that import no torch."""
