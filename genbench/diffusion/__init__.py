"""Diffusion and flow matching, apart from the model: paths, predictions, samplers, couplings."""
