//! Whole sessions, driven by hand: given bytes, when they come in pieces, then what goes out.
