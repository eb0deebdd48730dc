"""The report card: what is measured of a trained model, and the diagnosis of what seems wrong."""
