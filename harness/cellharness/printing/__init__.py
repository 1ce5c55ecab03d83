"""How numbers, sentences and tables are written: in the terminal, in files and on pages."""
