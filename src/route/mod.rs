//! Stance → addresses and routes: wanted state against what the kernel says, until they agree.
