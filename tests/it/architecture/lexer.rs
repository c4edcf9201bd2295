//! Rust source as tokens. Comments are gone, so they name nothing; a string is one token, whatever stands in it.

/// What a [`Token`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A name or a keyword.
    Word,
    /// `'a`.
    Lifetime,
    /// A string, a byte string or a character, with its quotes.
    Text,
    /// A number.
    Number,
    /// `::`, `->`, `=>`, or one character.
    Mark,
}

/// A piece of source and the lines on which it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: TokenKind,
    /// As it was written.
    pub(crate) text: String,
    /// The line on which it begins, counted from 1.
    pub(crate) line: usize,
}

impl Token {
    /// Whether it is exactly `text`.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.text == text
    }

    /// Whether it is a name or a keyword.
    pub(crate) fn is_word(&self) -> bool {
        self.kind == TokenKind::Word
    }

    /// Whether it opens a bracket of any kind.
    pub(crate) fn opens(&self) -> bool {
        matches!(self.text.as_str(), "(" | "[" | "{")
    }

    /// Whether it closes a bracket of any kind.
    pub(crate) fn closes(&self) -> bool {
        matches!(self.text.as_str(), ")" | "]" | "}")
    }

    /// The lines on which it has something: only a string can have several.
    pub(crate) fn lines(&self) -> impl Iterator<Item = usize> + '_ {
        self.text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()).map(|(below, _)| self.line + below)
    }
}

/// All tokens of `source`, in order.
pub(crate) fn tokens_of(source: &str) -> Vec<Token> {
    let mut reader = SourceReader { characters: source.chars().collect(), at: 0, line: 1 };
    std::iter::from_fn(|| reader.next_token()).collect()
}

/// The index behind the bracket that `tokens[opening]` opens.
pub(crate) fn end_of_bracket(tokens: &[Token], opening: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(opening) {
        depth += usize::from(token.opens());
        depth -= usize::from(token.closes());
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

struct SourceReader {
    characters: Vec<char>,
    at: usize,
    line: usize,
}

impl SourceReader {
    fn next_token(&mut self) -> Option<Token> {
        self.skip_space_and_comments();
        let (start, line) = (self.at, self.line);
        let kind = match self.characters.get(start)? {
            '"' => self.take_quoted('"'),
            '\'' => self.take_character_or_lifetime(),
            digit if digit.is_ascii_digit() => self.take_number(),
            letter if is_of_word(*letter) => self.take_word_or_text(),
            _ => self.take_mark(),
        };
        Some(Token { kind, text: self.characters[start..self.at].iter().collect(), line })
    }

    /// The character `ahead` of here; NUL behind the end.
    fn peek(&self, ahead: usize) -> char {
        self.characters.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn looks_at(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(ahead, character)| self.peek(ahead) == character)
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.line += usize::from(self.peek(0) == '\n');
            self.at += 1;
        }
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.characters.len()
    }

    fn skip_space_and_comments(&mut self) {
        while !self.is_at_end() {
            match self.peek(0) {
                space if space.is_whitespace() => self.skip(1),
                '/' if self.looks_at("//") => self.skip_line(),
                '/' if self.looks_at("/*") => self.skip_block_comment(),
                _ => return,
            }
        }
    }

    fn skip_line(&mut self) {
        while !self.is_at_end() && self.peek(0) != '\n' {
            self.skip(1);
        }
    }

    /// Block comments stand in each other.
    fn skip_block_comment(&mut self) {
        let mut depth = 0;
        loop {
            match self.peek(0) {
                '/' if self.looks_at("/*") => depth += 1,
                '*' if self.looks_at("*/") => depth -= 1,
                _ if self.is_at_end() => return,
                _ => {
                    self.skip(1);
                    continue;
                }
            }
            self.skip(2);
            if depth == 0 {
                return;
            }
        }
    }

    /// From one `quote` to the next that is not escaped.
    fn take_quoted(&mut self, quote: char) -> TokenKind {
        self.skip(1);
        while !self.is_at_end() && self.peek(0) != quote {
            self.skip(if self.peek(0) == '\\' { 2 } else { 1 });
        }
        self.skip(1);
        TokenKind::Text
    }

    fn take_character_or_lifetime(&mut self) -> TokenKind {
        if self.peek(1) == '\\' || self.peek(2) == '\'' {
            return self.take_quoted('\'');
        }
        self.skip(1);
        self.skip_word();
        TokenKind::Lifetime
    }

    /// `1_000u64`, `0xff`, `1.5`; but `0..3` is a number and a range.
    fn take_number(&mut self) -> TokenKind {
        self.skip_word();
        while self.peek(0) == '.' && self.peek(1).is_ascii_digit() {
            self.skip(1);
            self.skip_word();
        }
        TokenKind::Number
    }

    fn skip_word(&mut self) {
        while is_of_word(self.peek(0)) {
            self.skip(1);
        }
    }

    /// A word, or a string that begins with letters: `b"…"`, `c"…"`, `b'…'`, `r"…"`, `br#"…"#`; `r#word` is a word.
    fn take_word_or_text(&mut self) -> TokenKind {
        let start = self.at;
        self.skip_word();
        let prefix: String = self.characters[start..self.at].iter().collect();
        let hashes = (0..).take_while(|ahead| self.peek(*ahead) == '#').count();
        match (prefix.as_str(), self.peek(hashes)) {
            ("r" | "br" | "cr", '"') => self.take_raw(hashes),
            ("b" | "c", '"') if hashes == 0 => self.take_quoted('"'),
            ("b", '\'') if hashes == 0 => self.take_quoted('\''),
            ("r", letter) if hashes == 1 && is_of_word(letter) => {
                self.skip(1);
                self.skip_word();
                TokenKind::Word
            }
            _ => TokenKind::Word,
        }
    }

    fn take_raw(&mut self, hashes: usize) -> TokenKind {
        let ending = format!("\"{}", "#".repeat(hashes));
        self.skip(hashes + 1);
        while !self.is_at_end() && !self.looks_at(&ending) {
            self.skip(1);
        }
        self.skip(ending.len());
        TokenKind::Text
    }

    fn take_mark(&mut self) -> TokenKind {
        let is_double = ["::", "->", "=>"].iter().any(|mark| self.looks_at(mark));
        self.skip(if is_double { 2 } else { 1 });
        TokenKind::Mark
    }
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
