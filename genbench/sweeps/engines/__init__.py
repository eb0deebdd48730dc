"""Engines of other libraries that run the jobs of a sweep: joblib, submitit and Ray."""
