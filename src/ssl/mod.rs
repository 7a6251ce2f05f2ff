//! Pretext tasks: features without labels.
