//! Layers, norms, initialisers, optimisers, averages of weights, checkpoints.
