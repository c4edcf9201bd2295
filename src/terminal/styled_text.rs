//! Lines in several tones, which are colours where there are any. Pure.

use console::Style;
use unicode_width::UnicodeWidthStr;

use super::printable::printable_line;

/// What a piece of a line is to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextTone {
    /// As all else.
    Plain,
    /// Less important.
    Dim,
    /// What is looked for.
    Bright,
    /// All is well again.
    Good,
    /// Worth a look.
    Doubtful,
    /// Something failed.
    Bad,
}

/// A line of pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StyledText(Vec<(TextTone, String)>);

impl TextTone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Dim => Style::new().dim(),
            Self::Bright => Style::new().cyan().bold(),
            Self::Good => Style::new().green(),
            Self::Doubtful => Style::new().yellow(),
            Self::Bad => Style::new().red(),
        }
    }
}

impl StyledText {
    /// A line in one tone.
    pub fn new(tone: TextTone, text: impl Into<String>) -> Self {
        Self::default().with(tone, text)
    }

    /// The same and one piece more.
    #[must_use]
    pub fn with(mut self, tone: TextTone, text: impl Into<String>) -> Self {
        self.0.push((tone, text.into()));
        self
    }

    /// Columns of a terminal that it takes.
    pub fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| printable_line(text).width()).sum()
    }

    /// As it is printed, with colours or without. Nothing in it is obeyed but they.
    pub fn painted(&self, colour: bool) -> String {
        let piece = |(tone, text): &(TextTone, String)| {
            tone.style().force_styling(colour).apply_to(printable_line(text)).to_string()
        };
        self.0.iter().map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_where_there_are_any() {
        let line = StyledText::new(TextTone::Plain, "GET ").with(TextTone::Bad, "502").with(TextTone::Dim, "\u{1b}x");
        assert_eq!(line.painted(false), "GET 502\\u{1b}x");
        assert_eq!(line.width(), "GET 502\\u{1b}x".len());
        assert_eq!(line.painted(true), "GET \u{1b}[31m502\u{1b}[0m\u{1b}[2m\\u{1b}x\u{1b}[0m");
    }
}
