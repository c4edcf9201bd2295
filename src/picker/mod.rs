//! Choosing a Target interactively.
