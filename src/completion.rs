//! kubectl's completion protocol for plugins.
