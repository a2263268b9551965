create schema procrastinate;
