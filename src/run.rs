//! A run's folder: the script, its parameters, what was measured, checkpoints, pictures.
