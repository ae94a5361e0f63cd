"""From the bytes of a file to image sets."""
