"""What methods share: the contract of a detector, scoring, the plain classifier."""
