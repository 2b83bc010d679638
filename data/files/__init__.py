"""Files: whole or absent, inside their folder, told apart by what they hold; HDF5 and NPZ read with care."""
