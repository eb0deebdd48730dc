"""What recipes compare with: exact values by NumPy, SciPy and scikit-learn, from data and fitted
parameters.
"""
