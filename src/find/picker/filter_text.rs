//! What was typed to filter by, and where the next letter goes. Pure.

/// A line of text and a caret in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterText {
    text: String,
    /// In octets, between two characters.
    caret: usize,
}

/// Where a key takes the caret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaretMove {
    /// Over one character.
    Left,
    /// Over one character.
    Right,
    /// To the beginning of a word.
    WordLeft,
    /// To the end of a word.
    WordRight,
    /// To the end of the line.
    End,
}

impl FilterText {
    /// `text` with the caret at its end.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), caret: text.len() }
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What is before the caret, and what is behind it.
    pub fn around_caret(&self) -> (&str, &str) {
        self.text.split_at(self.caret)
    }

    /// Puts `text` where the caret is.
    pub fn insert(&mut self, text: &str) {
        self.text.insert_str(self.caret, text);
        self.caret += text.len();
    }

    /// Takes away what is between the caret and where `movement` would take it.
    pub fn delete(&mut self, movement: CaretMove) {
        let place = self.after(movement);
        let (start, end) = (place.min(self.caret), place.max(self.caret));
        self.text.replace_range(start..end, "");
        self.caret = start;
    }

    /// Takes everything away.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Moves the caret.
    pub fn go(&mut self, movement: CaretMove) {
        self.caret = self.after(movement);
    }

    fn after(&self, movement: CaretMove) -> usize {
        let (before, behind) = self.around_caret();
        match movement {
            CaretMove::Left => before.char_indices().next_back().map_or(0, |(index, _)| index),
            CaretMove::Right => self.caret + behind.chars().next().map_or(0, char::len_utf8),
            CaretMove::WordLeft => before
                .trim_end()
                .rfind(char::is_whitespace)
                .map_or(0, |index| index + before[index..].chars().next().map_or(0, char::len_utf8)),
            CaretMove::WordRight => {
                let blanks = behind.len() - behind.trim_start().len();
                let word = behind[blanks..].find(char::is_whitespace).unwrap_or(behind.len() - blanks);
                self.caret + blanks + word
            }
            CaretMove::End => self.text.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CaretMove::{End, Left, Right, WordLeft, WordRight};

    /// The text with a `|` where the caret is, after `moves`.
    fn moved(text: &str, moves: &[CaretMove]) -> String {
        let mut filter = FilterText::new(text);
        moves.iter().for_each(|movement| filter.go(*movement));
        let (before, behind) = filter.around_caret();
        format!("{before}|{behind}")
    }

    #[test]
    fn the_caret_moves_over_characters_and_words() {
        assert_eq!(moved("grün", &[Left, Left]), "gr|ün");
        assert_eq!(moved("grün", &[Left, Left, Right]), "grü|n");
        assert_eq!(moved("a", &[Left, Left, Left]), "|a");
        assert_eq!(moved("a", &[Right]), "a|");
        assert_eq!(moved("mon  graf ", &[WordLeft]), "mon  |graf ");
        assert_eq!(moved("mon  graf ", &[WordLeft, WordLeft, WordLeft]), "|mon  graf ");
        assert_eq!(moved("mon\u{3000}graf", &[WordLeft]), "mon\u{3000}|graf");
        assert_eq!(moved("mon  graf", &[WordLeft, WordLeft, WordRight, WordRight]), "mon  graf|");
        assert_eq!(moved("mon  graf", &[WordLeft, WordLeft, WordRight]), "mon|  graf");
        assert_eq!(moved("mon graf", &[WordLeft, End]), "mon graf|");
    }

    #[test]
    fn what_is_typed_goes_where_the_caret_is() {
        let mut filter = FilterText::new("moñ");
        filter.go(Left);
        filter.insert("aü");
        assert_eq!((filter.as_str(), filter.around_caret()), ("moaüñ", ("moaü", "ñ")));
        filter.delete(Left);
        filter.delete(Right);
        filter.delete(Right);
        assert_eq!(filter.around_caret(), ("moa", ""));
        filter.insert(" x");
        filter.delete(WordLeft);
        assert_eq!(filter.around_caret(), ("moa ", ""));
        filter.clear();
        assert_eq!(filter, FilterText::default());
    }
}
