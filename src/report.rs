//! A run's folder on one self-contained page.
