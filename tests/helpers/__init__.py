"""What tests of several packages share: real configs made small, files of runs, published data."""
