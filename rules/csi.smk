"""CSI: contrastive encoders, linear heads on the labelled one; the detectors compare with training images."""


use rule train as train_csi_encoder with:
    "Train an encoder to contrast shifted instances."
    wildcard_constraints:
        model=PLAN.models_of_type("csi_encoder"),


use rule train as train_csi_classifier with:
    "Train a linear head on a labelled encoder's frozen trunk."
    wildcard_constraints:
        model=PLAN.models_of_type("csi_classifier"),


use rule fit as fit_csi with:
    "Look at the training images as the score does."
    wildcard_constraints:
        method=PLAN.methods_of("csi"),
