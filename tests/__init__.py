"""The tests, at the paths of the code that they are about."""
