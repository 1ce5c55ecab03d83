"""A small network trained here with the recipe of MEDIAR (Lee et al. 2022): not the winner."""
