//! The terminal: raw, on its alternate screen, and given back as it was however the program ends.

use std::io::{self, Write as _};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{
    DisableBracketedPaste, EnableBracketedPaste, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
};
use crossterm::{cursor, execute, queue, style, terminal};

use super::filter_text::CaretMove;
use super::frame::{ScreenFrame, ScreenLine, ScreenSize, SpanStyle};
use super::state::PickerKey;
use crate::terminal::panic_hook::give_back_on_panic;

/// Where there is no telling how large the terminal is.
const USUAL_SIZE: ScreenSize = ScreenSize { width: 80, height: 24 };

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether a panic gives it back.
static HOOKED: Once = Once::new();

/// The terminal behind stderr while the picker has it. Dropping it, a panic and `give_back` give it back.
#[derive(Debug)]
pub struct PickerScreen {
    colour: bool,
    drawn: Vec<Vec<u8>>,
    /// Its size when last measured.
    pub(super) size: ScreenSize,
}

impl PickerScreen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When there is none, or it cannot be made raw.
    pub fn take(colour: bool) -> io::Result<Self> {
        give_back_on_panic(&HOOKED, give_back);
        let mut screen = Self { colour, drawn: Vec::new(), size: USUAL_SIZE };
        screen.retake()?;
        Ok(screen)
    }

    /// Takes the terminal again after `give_back`, or after others may have changed its modes.
    ///
    /// # Errors
    /// As [`PickerScreen::take`].
    pub fn retake(&mut self) -> io::Result<()> {
        terminal::enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        execute!(io::stderr().lock(), terminal::EnterAlternateScreen, EnableBracketedPaste)?;
        self.measure();
        Ok(())
    }

    /// Takes note of the terminal's size and forgets what it shows.
    pub fn measure(&mut self) {
        let known = terminal::size().ok().filter(|&(width, height)| width > 0 && height > 0);
        self.size =
            known.map_or(USUAL_SIZE, |(width, height)| ScreenSize { width: width.into(), height: height.into() });
        self.drawn.clear();
    }

    /// Shows `frame`, writing only lines that changed, all in one piece.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn show(&mut self, frame: &ScreenFrame) -> io::Result<()> {
        let lines = frame.lines.iter().map(|line| self.codes_of(line)).collect::<io::Result<Vec<_>>>()?;
        let mut codes = Vec::new();
        queue!(codes, terminal::BeginSynchronizedUpdate, cursor::Hide)?;
        if self.drawn.is_empty() {
            queue!(codes, terminal::Clear(terminal::ClearType::All))?;
        }
        for (row, line) in (0u16..).zip(&lines) {
            if self.drawn.get(usize::from(row)) != Some(line) {
                queue!(codes, cursor::MoveTo(0, row))?;
                codes.extend_from_slice(line);
            }
        }
        if lines.len() < self.drawn.len() {
            let below = u16::try_from(lines.len()).unwrap_or(u16::MAX);
            queue!(codes, cursor::MoveTo(0, below), terminal::Clear(terminal::ClearType::FromCursorDown))?;
        }
        let (column, row) = frame.cursor;
        queue!(codes, cursor::MoveTo(column, row), cursor::Show, terminal::EndSynchronizedUpdate)?;
        self.drawn = lines;
        let mut stderr = io::stderr().lock();
        stderr.write_all(&codes)?;
        stderr.flush()
    }

    fn codes_of(&self, line: &ScreenLine) -> io::Result<Vec<u8>> {
        let mut codes = Vec::new();
        for span in &line.spans {
            let (attributes, colour) = look(span.style);
            for attribute in attributes {
                queue!(codes, style::SetAttribute(*attribute))?;
            }
            if line.is_current {
                queue!(codes, style::SetAttribute(style::Attribute::Reverse))?;
            } else if let Some(colour) = colour.filter(|_| self.colour) {
                queue!(codes, style::SetForegroundColor(colour))?;
            }
            queue!(codes, style::Print(&span.text), style::SetAttribute(style::Attribute::Reset))?;
        }
        queue!(codes, terminal::Clear(terminal::ClearType::UntilNewLine))?;
        Ok(codes)
    }
}

impl Drop for PickerScreen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Attributes carry the meaning, so that it is there without colours, and on light and dark backgrounds alike. Only
/// colours of the basic sixteen that can be read on white and on black.
fn look(style: SpanStyle) -> (&'static [style::Attribute], Option<style::Color>) {
    use style::Attribute::{Bold, Dim, Underlined};
    match style {
        SpanStyle::Plain => (&[], None),
        SpanStyle::Quiet => (&[Dim], None),
        SpanStyle::Strong => (&[Bold], None),
        SpanStyle::Match => (&[Bold, Underlined], Some(style::Color::DarkMagenta)),
        SpanStyle::Mark => (&[Bold], Some(style::Color::DarkMagenta)),
        SpanStyle::Note => (&[Bold], Some(style::Color::DarkRed)),
    }
}

/// Leaves the alternate screen, shows the cursor and ends raw mode, if that is still to be done.
pub(super) fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = execute!(io::stderr().lock(), DisableBracketedPaste, terminal::LeaveAlternateScreen, cursor::Show);
    let _ = terminal::disable_raw_mode();
}

/// What happened at the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalInput {
    /// A key that means something.
    Key(PickerKey),
    /// It has another size, or what it shows cannot be relied on.
    Redraw,
    /// Nothing of interest.
    Nothing,
}

/// Translates what the terminal reports.
pub fn input(event: Event) -> TerminalInput {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key_input(key),
        Event::Paste(text) => {
            TerminalInput::Key(PickerKey::Text(text.replace(|character: char| character.is_control(), " ")))
        }
        Event::Resize(..) => TerminalInput::Redraw,
        _ => TerminalInput::Nothing,
    }
}

fn key_input(key: KeyEvent) -> TerminalInput {
    let plain = key.modifiers.difference(KeyModifiers::SHIFT).is_empty();
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    let meaning = match key.code {
        KeyCode::Char(letter) if plain => PickerKey::Text(letter.to_string()),
        // AltGr comes as both on Windows.
        KeyCode::Char(letter) if control && alt => PickerKey::Text(letter.to_string()),
        KeyCode::Char('l') if control => return TerminalInput::Redraw,
        KeyCode::Char(letter) if control => {
            return control_key(letter).map_or(TerminalInput::Nothing, TerminalInput::Key);
        }
        KeyCode::Char('b') if alt => PickerKey::Caret(CaretMove::WordLeft),
        KeyCode::Char('f') if alt => PickerKey::Caret(CaretMove::WordRight),
        KeyCode::Left if control || alt => PickerKey::Caret(CaretMove::WordLeft),
        KeyCode::Left => PickerKey::Caret(CaretMove::Left),
        KeyCode::Right if control || alt => PickerKey::Caret(CaretMove::WordRight),
        KeyCode::Right => PickerKey::Caret(CaretMove::Right),
        KeyCode::Delete => PickerKey::Delete(CaretMove::Right),
        KeyCode::Backspace if control || alt => PickerKey::Delete(CaretMove::WordLeft),
        KeyCode::Backspace => PickerKey::Delete(CaretMove::Left),
        KeyCode::Up => PickerKey::Move(-1),
        KeyCode::Down => PickerKey::Move(1),
        KeyCode::PageUp => PickerKey::Page(-1),
        KeyCode::PageDown => PickerKey::Page(1),
        KeyCode::Home => PickerKey::First,
        KeyCode::End => PickerKey::Last,
        KeyCode::Tab => PickerKey::Mark(1),
        KeyCode::BackTab => PickerKey::Mark(-1),
        KeyCode::Enter => PickerKey::Enter,
        KeyCode::Esc => PickerKey::Cancel,
        _ => return TerminalInput::Nothing,
    };
    TerminalInput::Key(meaning)
}

/// What fzf and the shells' line editors agree on.
fn control_key(letter: char) -> Option<PickerKey> {
    Some(match letter {
        'c' | 'g' => PickerKey::Cancel,
        'd' => PickerKey::EndOfInput,
        'b' => PickerKey::Caret(CaretMove::Left),
        'f' => PickerKey::Caret(CaretMove::Right),
        'e' => PickerKey::Caret(CaretMove::End),
        'h' => PickerKey::Delete(CaretMove::Left),
        'w' => PickerKey::Delete(CaretMove::WordLeft),
        'u' => PickerKey::Clear,
        'p' | 'k' => PickerKey::Move(-1),
        'n' | 'j' => PickerKey::Move(1),
        'z' => PickerKey::Suspend,
        'r' => PickerKey::LookAgain,
        'a' => PickerKey::LookEverywhere,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::picker::frame::StyledSpan;

    fn shown(text: &str, style: SpanStyle, colour: bool, is_current: bool) -> String {
        let screen = PickerScreen { colour, drawn: Vec::new(), size: USUAL_SIZE };
        let line = ScreenLine { spans: vec![StyledSpan { text: text.to_owned(), style }], is_current };
        String::from_utf8(screen.codes_of(&line).unwrap()).unwrap()
    }

    #[test]
    fn without_colour_attributes_remain() {
        assert_eq!(shown("gra", SpanStyle::Match, false, false), "\u{1b}[1m\u{1b}[4mgra\u{1b}[0m\u{1b}[K");
        assert!(shown("gra", SpanStyle::Match, true, false).contains("\u{1b}[38;5;5m"));
        assert!(shown("x", SpanStyle::Plain, false, true).starts_with("\u{1b}[7mx"));
    }

    #[test]
    fn keys() {
        let check = |code: KeyCode, modifiers: KeyModifiers, expect: TerminalInput| {
            assert_eq!(input(Event::Key(KeyEvent::new(code, modifiers))), expect, "{code:?} {modifiers:?}");
        };
        let none = KeyModifiers::NONE;
        check(KeyCode::Char('g'), none, TerminalInput::Key(PickerKey::Text("g".to_owned())));
        check(KeyCode::Char('G'), KeyModifiers::SHIFT, TerminalInput::Key(PickerKey::Text("G".to_owned())));
        check(
            KeyCode::Char('@'),
            KeyModifiers::CONTROL | KeyModifiers::ALT,
            TerminalInput::Key(PickerKey::Text("@".to_owned())),
        );
        check(KeyCode::Char('c'), KeyModifiers::CONTROL, TerminalInput::Key(PickerKey::Cancel));
        check(KeyCode::Char('l'), KeyModifiers::CONTROL, TerminalInput::Redraw);
        check(KeyCode::Char('x'), KeyModifiers::CONTROL, TerminalInput::Nothing);
        check(KeyCode::Char('x'), KeyModifiers::ALT, TerminalInput::Nothing);
        let left = |movement| TerminalInput::Key(PickerKey::Caret(movement));
        check(KeyCode::Left, none, left(CaretMove::Left));
        check(KeyCode::Left, KeyModifiers::CONTROL, left(CaretMove::WordLeft));
        check(KeyCode::Char('b'), KeyModifiers::ALT, left(CaretMove::WordLeft));
        check(KeyCode::Char('a'), KeyModifiers::CONTROL, TerminalInput::Key(PickerKey::LookEverywhere));
        check(KeyCode::BackTab, KeyModifiers::SHIFT, TerminalInput::Key(PickerKey::Mark(-1)));
        check(KeyCode::F(1), none, TerminalInput::Nothing);
        assert_eq!(input(Event::Paste("a\nb".to_owned())), TerminalInput::Key(PickerKey::Text("a b".to_owned())));
        assert_eq!(input(Event::Resize(10, 10)), TerminalInput::Redraw);
    }
}
