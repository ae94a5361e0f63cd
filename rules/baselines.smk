"""Baselines that need statistics of the ID training set; the others are scored as they are."""


use rule fit as fit_baseline with:
    "Gather the statistics of a baseline."
    wildcard_constraints:
        method=PLAN.methods_of("baselines"),
