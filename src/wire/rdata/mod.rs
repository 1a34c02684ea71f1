//! RDATA of every type: presentation form → wire form → presentation form.
