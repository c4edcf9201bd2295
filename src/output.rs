//! The only printer: data on stdout, words for people on stderr, nothing that a terminal would obey.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use console::Style;

use crate::error::Error;

/// Where this run prints, and whether in colour.
#[derive(Debug, Clone)]
pub struct Output {
    colour: bool,
}

impl Output {
    /// Colour on stderr if it is a terminal and neither `NO_COLOR` nor a dumb terminal speaks against it.
    pub fn new(no_colour: bool) -> Self {
        Self { colour: !no_colour && io::stderr().is_terminal() }
    }

    /// One line of data.
    ///
    /// A reader that went away is no error: the run goes on for those who use the URL.
    pub fn data(&self, line: &str) {
        let mut stdout = io::stdout().lock();
        let _ = writeln!(stdout, "{}", printable(line)).and_then(|()| stdout.flush());
    }

    /// Many lines of data at once, with their line ends.
    ///
    /// # Errors
    /// When nobody reads them any more.
    pub fn pages(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// One line for people.
    pub fn say(&self, line: &str) {
        self.write(&printable(line));
    }

    /// One line for people, less important than the others.
    pub fn whisper(&self, line: &str) {
        self.write(&self.styled(Style::new().dim(), &printable(line)));
    }

    /// Something is not as it should be, but the run goes on.
    pub fn warn(&self, line: &str) {
        let mark = self.styled(Style::new().yellow().bold(), "warning:");
        self.write(&format!("{mark} {}", printable(line)));
    }

    /// The end of a failed run. A cancelled prompt has nothing to say.
    pub fn error(&self, error: &Error) {
        if error.message().is_empty() {
            return;
        }
        let mark = self.styled(Style::new().red().bold(), "error:");
        self.write(&format!("{mark} {}", printable(error.message())));
        if let Some(hint) = error.hint_text() {
            let mark = self.styled(Style::new().cyan(), "hint:");
            self.write(&format!("{mark} {}", printable(hint)));
        }
    }

    /// Whether stderr shows colours.
    pub fn colour(&self) -> bool {
        self.colour
    }

    fn styled(&self, style: Style, text: &str) -> String {
        style.force_styling(self.colour).apply_to(text).to_string()
    }

    fn write(&self, line: &str) {
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "{line}");
    }
}

/// `text` with everything that a terminal could obey or that could hide the rest made visible: controls (C0, C1, DEL)
/// and the bidirectional overrides of Unicode; tabs and line ends stay. Names, messages and paths come from outside.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

fn is_unsafe(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => true,
        _ => character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_printed_is_obeyed() {
        assert_eq!(printable("a\u{1b}[31mb\u{7}\u{9b}c\u{202e}d\r"), "a\\u{1b}[31mb\\u{7}\\u{9b}c\\u{202e}d\\u{d}");
        assert_eq!(printable("Grüße, 世界\t1\n2"), "Grüße, 世界\t1\n2");
    }
}
