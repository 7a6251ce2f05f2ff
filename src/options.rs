//! Named, typed, documented settings: one declaration feeds defaults, strict reading, help and the record of a run.
