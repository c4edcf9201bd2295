//! The last Targets per context.
