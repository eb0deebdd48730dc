"""The measures of the report card, one module per group."""
