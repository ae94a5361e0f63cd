"""Gaussians of a plain classifier's features."""


use rule fit as fit_class_gaussians with:
    "Fit a Gaussian to each class of a classifier's features."
    wildcard_constraints:
        method=PLAN.methods_of("gaussians"),
