"""An app in the browser for finished runs: their latent space, samples and reconstructions."""
