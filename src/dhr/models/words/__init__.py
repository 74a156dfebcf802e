"""Networks that find classes by their names: the words of the classes, and maps of them."""
