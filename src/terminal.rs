//! Progress on a terminal: a bar for each stage, quiet when piped.
