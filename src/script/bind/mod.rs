//! What scripts can call, a file for each namespace. No arithmetic here.
