//! Labellers: from a few labels to a label for every image.
