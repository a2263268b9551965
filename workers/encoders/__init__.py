"""Encoders: pretrained models that turn content into vectors, one file a modality."""
