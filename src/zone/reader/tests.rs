//! Tables of text and what is read from it.
