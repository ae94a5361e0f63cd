"""Detectors of pytorch-ood on any classifier."""


use rule fit as fit_pytorch_ood with:
    "Gather what a detector of pytorch-ood is fitted on."
    wildcard_constraints:
        method=PLAN.methods_of("pytorch_ood"),
