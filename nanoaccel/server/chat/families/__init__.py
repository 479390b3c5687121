"""How families of models write thoughts and calls: a file for each form, and a table of all."""
