//! Everything printed: data on stdout, words for people on stderr, nothing that a terminal would obey. A status line, if
//! there is one, stays below everything else.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use console::{Style, Term};
use serde::Serialize;

use super::local_time::{clock, timestamp};
use super::printable::{json_line, printable_json, printable_line, printable_log};
use super::printer::{PrintJob, Printer, PrinterWords, to_stdout};
use super::styled_text::{StyledText, TextTone};
use crate::error::{Error, Exit, plain_words, system_words};

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

/// `--log-format`: what lines for people and of the log look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Where this run prints, and whether in colour.
#[derive(Debug, Clone)]
pub struct Output {
    colour: bool,
    is_terminal: bool,
    form: LogFormat,
    printer: Arc<Printer>,
}

/// A line for people as a line of a JSON log, in the form of `tracing`'s.
#[derive(Serialize)]
struct LogRecord<'a> {
    timestamp: String,
    level: &'static str,
    fields: LogFields<'a>,
}

#[derive(Serialize)]
struct LogFields<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// Columns of a terminal that does not say.
const USUAL_WIDTH: u16 = 80;
/// How long the end of a run waits for what is still to be printed, and others who write to the same terminal.
const LAST_LINES_TIMEOUT: Duration = Duration::from_millis(400);

impl Output {
    /// Lines of that form; colour on stderr if it is a terminal and neither `NO_COLOR` nor a dumb terminal speaks against it.
    pub fn new(no_colour: bool, form: LogFormat) -> Self {
        let is_terminal = io::stderr().is_terminal();
        let whose = if is_terminal { "the terminal did not take them" } else { "nobody read them" };
        let left_out = Box::new(move |count: usize| {
            let lines = if count == 1 { "1 line was" } else { &format!("{count} lines were") };
            let line = format!("… {lines} not printed: {whose}");
            in_form(form, "WARN", &line, || line.clone()) + "\n"
        });
        let unwritten = Box::new(move |cause: &io::Error| {
            let line = format!("cannot write to stdout: {}", system_words(cause));
            in_form(form, "ERROR", &line, || format!("error: {line}")) + "\n"
        });
        let printer = Arc::new(Printer::new(PrinterWords { left_out, unwritten }));
        Self { colour: !no_colour && is_terminal, is_terminal, form, printer }
    }

    /// From now on nothing that is printed holds up whoever prints it for more than a moment.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn set_aside(&self) -> io::Result<()> {
        self.printer.set_aside()
    }

    /// From now on, since something is served and nothing is asked any more, nothing that is printed holds up whoever prints it.
    pub fn never_wait(&self) {
        self.printer.never_wait();
    }

    /// Waits a moment for what is not printed yet, since somebody else is about to write to the same terminal.
    pub fn catch_up(&self) {
        self.printer.finish(LAST_LINES_TIMEOUT);
    }

    /// Waits a moment for what is not printed yet, at the end of a run that came to `exit`. Gives what it came to in the end: a
    /// run whose data could not be written has failed.
    pub fn finish(&self, exit: Exit) -> Exit {
        let is_written = self.printer.finish(LAST_LINES_TIMEOUT);
        if exit == Exit::Ok && !is_written { Exit::Failed } else { exit }
    }

    /// One line of data. It waits for as long as it takes, but nobody waits for it once something is served.
    pub fn print_data(&self, line: &str) {
        self.printer.print(PrintJob::Data(printable_line(line) + "\n"));
    }

    /// Many lines of data at once, with their line ends, before anything is served.
    ///
    /// # Errors
    /// When nobody reads them any more, or there is no room for them, which has been said then.
    pub fn pages(&self, text: &str) -> io::Result<()> {
        to_stdout(text.as_bytes()).inspect_err(|cause| self.note_unwritten(cause))
    }

    /// Something else could not write to stdout because of `cause`: that is said, unless nobody reads any more.
    pub fn note_unwritten(&self, cause: &io::Error) {
        self.printer.note_unwritten(cause);
    }

    /// Columns of the terminal that stdout is.
    pub fn data_columns() -> usize {
        Term::stdout().size_checked().map_or(USUAL_WIDTH, |(_, columns)| columns).into()
    }

    /// One line for people.
    pub fn print_notice(&self, line: &str) {
        self.print_line(Style::new(), &plain_words(line));
    }

    /// One line for people, less important than the others.
    pub fn print_hint(&self, line: &str) {
        self.print_line(Style::new().dim(), line);
    }

    /// One line of JSON for programs that read what people read.
    pub fn print_record(&self, json: &str) {
        self.printer.print(PrintJob::Lines(printable_json(json) + "\n"));
    }

    /// Something is not as it should be, but the run goes on.
    pub fn print_warning(&self, line: &str) {
        let mark = self.styled(Style::new().yellow().bold(), "warning:");
        let line = &plain_words(line);
        let text = in_form(self.form, "WARN", line, || format!("{mark} {}", printable_line(line)));
        self.printer.print(PrintJob::Lines(text + "\n"));
    }

    /// The end of a failed run. A cancelled prompt has nothing to say.
    pub fn print_error(&self, error: &Error) {
        if error.message().is_empty() {
            return;
        }
        if self.form == LogFormat::Json {
            let record = log_record("ERROR", &plain_words(error.message()), error.hint_text());
            return self.printer.print(PrintJob::Error(record + "\n"));
        }
        let mark = self.styled(Style::new().red().bold(), "error:");
        let mut text = format!("{mark} {}\n", printable_line(&plain_words(error.message())));
        if let Some(hint) = error.hint_text() {
            let mark = self.styled(Style::new().cyan(), "hint:");
            text.push_str(&format!("{mark} {}\n", printable_line(hint)));
        }
        self.printer.print(PrintJob::Error(text));
    }

    /// One line for people, in several tones.
    pub fn print_styled(&self, line: &StyledText) {
        let text = in_form(self.form, "INFO", &line.painted(false), || line.painted(self.colour));
        self.printer.print(PrintJob::Lines(text + "\n"));
    }

    /// Something happened: at a terminal with the time.
    pub fn print_event(&self, tone: TextTone, line: &str) {
        match self.is_terminal && self.form == LogFormat::Text {
            true => self
                .print_styled(&StyledText::new(TextTone::Dim, format!("{} ", clock())).with(tone, plain_words(line))),
            false => self.print_notice(line),
        }
    }

    /// Whether stderr shows colours.
    pub fn colour(&self) -> bool {
        self.colour
    }

    fn print_line(&self, style: Style, line: &str) {
        let text = in_form(self.form, "INFO", line, || self.styled(style, &printable_line(line)));
        self.printer.print(PrintJob::Lines(text + "\n"));
    }

    fn styled(&self, style: Style, text: &str) -> String {
        style.force_styling(self.colour).apply_to(text).to_string()
    }

    /// Shows the line that `text` makes for so many columns below everything else, instead of the one before. Only for
    /// a terminal.
    pub fn status(&self, text: impl FnOnce(usize) -> StyledText) {
        self.printer.print(PrintJob::Status(text(width()).painted(self.colour)));
    }

    /// Takes the status line away, for as long as the shell has the terminal, which gets it once that is done.
    pub fn hide_status(&self) {
        self.printer.print(PrintJob::HideStatus);
        self.catch_up();
    }

    /// Takes the status line away until there is another one.
    pub fn clear_status(&self) {
        self.printer.print(PrintJob::ClearStatus);
    }

    /// Draws the status line again, on an empty screen if `clear` says so.
    pub fn redraw_status(&self, clear: bool) {
        self.printer.print(PrintJob::RedrawStatus { clear });
    }

    /// Takes the status line away for good.
    pub fn end_status(&self) {
        self.printer.print(PrintJob::EndStatus);
    }
}

/// Writes lines of the log where [`Output`] prints: each write is one or more whole lines.
impl Write for Output {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let text = plain_words(&String::from_utf8_lossy(lines));
        let text = match self.form {
            LogFormat::Text => printable_log(&text, self.colour),
            LogFormat::Json => printable_json(&text),
        };
        self.printer.print(PrintJob::Lines(text));
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `line` as it is printed: what `text` makes of it for people.
fn in_form(form: LogFormat, level: &'static str, line: &str, text: impl FnOnce() -> String) -> String {
    match form {
        LogFormat::Text => text(),
        LogFormat::Json => log_record(level, line, None),
    }
}

fn log_record(level: &'static str, message: &str, hint: Option<&str>) -> String {
    json_line(&LogRecord { timestamp: timestamp(), level, fields: LogFields { message, hint } })
}

/// Columns for a line that must not wrap. The last one stays empty: a cursor beyond it may be on the next line.
pub fn width() -> usize {
    let columns = Term::stderr().size_checked().map_or(USUAL_WIDTH, |(_, columns)| columns);
    usize::from(columns).saturating_sub(1)
}
