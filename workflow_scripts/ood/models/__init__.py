"""Networks only: no training code, one family per file."""
