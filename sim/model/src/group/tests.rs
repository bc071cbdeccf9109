//! Whole group lives, step by step.
