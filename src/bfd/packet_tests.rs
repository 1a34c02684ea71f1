//! The tables of packets, both ways.
