"""Pictures of models: what is drawn of which, and how."""
