//! Training a GAN and sampling from it.
