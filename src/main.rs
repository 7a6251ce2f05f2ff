//! The `fewlab` command: reads the arguments and hands over.

fn main() {}
