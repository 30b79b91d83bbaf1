"""Checks oracle files with h5py: python check.py FILE..."""

import sys

from schema import check

for path in sys.argv[1:]:
    facts = check(path)
    print(path, facts["integers"], "attention", facts["attention"].shape, "mean", facts["attention"].mean(dtype=float))
