"""Users whose preferences are known: what a policy earns in the long run can be measured against the truth."""
