"""The unified space: a projection of each modality into one space, learnt from items that have several and from use."""
