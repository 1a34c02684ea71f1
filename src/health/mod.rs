//! The proof: each worker is asked for each service address, many times a second, and the replies are read by others' code.
