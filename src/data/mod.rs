//! Data sets, where they come from, and the label budget: the only way a method sees a label.
