"""The processes around the database: embedding, training, scoring and the commands that start them."""
