"""Settings that every test shares."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")
# two runs of one test must agree in the last bit, on any machine
os.environ.setdefault("OMP_NUM_THREADS", "1")
