"""Readers: files in, batches of raw rows out. They translate layout, and judge nothing: cleaning is SQL."""
