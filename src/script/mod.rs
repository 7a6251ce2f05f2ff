//! The language: the only place that knows Rhai.
