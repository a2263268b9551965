"""The learned fusion: a listwise ranker over what all sources say, and features of user and item."""
