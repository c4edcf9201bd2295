//! This machine around the program: what is printed, the browser, a COMMAND's process, files, signals.

pub mod command;
pub mod browser;
pub mod output;
pub mod panic_hook;
pub mod printable;
mod printer;
pub mod styled_text;
pub mod local_time;
#[cfg(unix)]
pub mod key_presses;
pub mod private_file;
pub mod signals;
pub mod editor_front;
pub mod terminal_facts;
