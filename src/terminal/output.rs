//! The only printer: data on stdout, words for people on stderr, nothing that a terminal would obey. A status line, if
//! there is one, stays below everything else.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex};

use clap::ValueEnum;
use console::{Style, Term};

use super::local_time::clock;
use super::styled_text::{StyledText, TextTone};
use crate::error::Error;
use crate::lock::lock;

/// `-o`: in which form data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
    /// The computed proxy URL alone
    Url,
    /// More columns
    Wide,
    /// YAML
    Yaml,
    /// service/NAME
    Name,
}

/// Where this run prints, and whether in colour.
#[derive(Debug, Clone)]
pub struct Output {
    colour: bool,
    is_terminal: bool,
    /// Whoever prints holds it.
    bottom: Arc<Mutex<BottomLine>>,
}

/// What is shown below everything else.
#[derive(Debug, Default)]
struct BottomLine {
    /// The status line; empty where there is none.
    line: String,
    /// Whether there will be none any more.
    over: bool,
}

/// Back to the start of the line, and nothing on it.
const CLEAR: &str = "\r\u{1b}[2K";
/// Nothing on the screen, nor above it, and back to its first line.
const CLEAR_SCREEN: &str = "\u{1b}[2J\u{1b}[3J\u{1b}[H";
/// Columns of a terminal that does not say.
const USUAL_WIDTH: u16 = 80;

impl Output {
    /// Colour on stderr if it is a terminal and neither `NO_COLOR` nor a dumb terminal speaks against it.
    pub fn new(no_colour: bool) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self { colour: !no_colour && is_terminal, is_terminal, bottom: Arc::default() }
    }

    /// One line of data.
    ///
    /// A reader that went away is no error: the run goes on for those who use the URL.
    pub fn print_data(&self, line: &str) {
        self.above_status(|_| {
            let mut stdout = io::stdout().lock();
            let _ = writeln!(stdout, "{}", printable(line)).and_then(|()| stdout.flush());
        });
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

    /// Columns of the terminal that stdout is.
    pub fn data_columns() -> usize {
        Term::stdout().size_checked().map_or(USUAL_WIDTH, |(_, columns)| columns).into()
    }

    /// One line for people.
    pub fn print_notice(&self, line: &str) {
        self.write(&printable(line));
    }

    /// One line for people, less important than the others.
    pub fn print_hint(&self, line: &str) {
        self.write(&self.styled(Style::new().dim(), &printable(line)));
    }

    /// Something is not as it should be, but the run goes on.
    pub fn print_warning(&self, line: &str) {
        let mark = self.styled(Style::new().yellow().bold(), "warning:");
        self.write(&format!("{mark} {}", printable(line)));
    }

    /// The end of a failed run. A cancelled prompt has nothing to say.
    pub fn print_error(&self, error: &Error) {
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

    /// One line for people, in several tones.
    pub fn print_styled(&self, line: &StyledText) {
        self.write(&line.painted(self.colour));
    }

    /// Something happened: at a terminal with the time.
    pub fn print_event(&self, tone: TextTone, line: &str) {
        match self.is_terminal {
            true => self.print_styled(&StyledText::new(TextTone::Dim, format!("{} ", clock())).with(tone, line)),
            false => self.print_notice(line),
        }
    }

    /// Whether stderr shows colours.
    pub fn colour(&self) -> bool {
        self.colour
    }

    fn styled(&self, style: Style, text: &str) -> String {
        style.force_styling(self.colour).apply_to(text).to_string()
    }

    /// Shows the line that `text` makes for so many columns below everything else, instead of the one before. Only for
    /// a terminal.
    pub fn status(&self, text: impl FnOnce(usize) -> StyledText) {
        let line = text(width()).painted(self.colour);
        let mut bottom = lock(&self.bottom);
        if bottom.over || !is_in_foreground() {
            // What is on the terminal's last line by now is the shell's.
            bottom.line.clear();
            return;
        }
        let _ = write!(io::stderr().lock(), "{CLEAR}{line}");
        bottom.line = line;
    }

    /// Takes the status line away, for as long as the shell has the terminal.
    pub fn hide_status(&self) {
        if !lock(&self.bottom).line.is_empty() {
            let _ = write!(io::stderr().lock(), "{CLEAR}");
        }
    }

    /// Takes the status line away until there is another one.
    pub fn clear_status(&self) {
        self.hide_status();
        lock(&self.bottom).line.clear();
    }

    /// Draws the status line again, on an empty screen if `clear` says so.
    pub fn redraw_status(&self, clear: bool) {
        let bottom = lock(&self.bottom);
        if is_in_foreground() {
            let before = if clear { CLEAR_SCREEN } else { CLEAR };
            let _ = write!(io::stderr().lock(), "{before}{}", bottom.line);
        }
    }

    /// Takes the status line away for good.
    pub fn end_status(&self) {
        let mut bottom = lock(&self.bottom);
        bottom.over = true;
        if !std::mem::take(&mut bottom.line).is_empty() && is_in_foreground() {
            let _ = write!(io::stderr().lock(), "{CLEAR}");
        }
    }

    fn write(&self, line: &str) {
        self.above_status(|stderr| stderr.extend([line, "\n"]));
    }

    /// Lets `print` print whole lines, as if there was no status line.
    fn above_status(&self, print: impl FnOnce(&mut String)) {
        let mut bottom = lock(&self.bottom);
        if !bottom.line.is_empty() && !is_in_foreground() {
            bottom.line.clear();
        }
        let mut text = String::new();
        if bottom.line.is_empty() {
            print(&mut text);
        } else {
            let _ = write!(io::stderr().lock(), "{CLEAR}");
            print(&mut text);
            text.push_str(&bottom.line);
        }
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Writes lines of the log where [`Output`] prints: each write is one or more whole lines.
impl Write for Output {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.above_status(|stderr| stderr.push_str(&String::from_utf8_lossy(lines)));
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Columns for a line that must not wrap. The last one stays empty: a cursor beyond it may be on the next line.
pub fn width() -> usize {
    let columns = Term::stderr().size_checked().map_or(USUAL_WIDTH, |(_, columns)| columns);
    usize::from(columns).saturating_sub(1)
}

/// Whether the terminal's last line is this program's: a job that was sent to the background shares it with the shell.
#[cfg(unix)]
pub(super) fn is_in_foreground() -> bool {
    rustix::termios::tcgetpgrp(io::stderr()).map_or(true, |group| group == rustix::process::getpgrp())
}

#[cfg(not(unix))]
fn is_in_foreground() -> bool {
    true
}

/// `text` with everything that a terminal could obey or that could hide the rest made visible: controls (C0, C1, DEL),
/// what has no width, and the bidirectional overrides of Unicode; tabs and line ends stay. Names, messages and paths come
/// from outside. Pure.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether a terminal could obey it, or it could hide the rest. Pure.
fn is_unsafe(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => true,
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
