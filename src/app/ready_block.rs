//! What a person at a terminal reads once Services are served: the URLs to open stand out, and no line wraps. Pure.

use unicode_width::UnicodeWidthStr;

use crate::service::Readiness;
use crate::terminal::styled_text::{StyledText, TextTone};

/// Between two columns.
const GAP: &str = "   ";
/// In front of each line about a Service.
const INDENT: &str = "  ";
/// Fewer columns than these of a context's name say nothing.
const SHORTEST_CONTEXT: usize = 8;

/// The whole of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadyBlock {
    /// The context's name, where there is one.
    pub context: Option<String>,
    /// The API server.
    pub server: String,
    /// A row for each Service.
    pub rows: Vec<ReadyRow>,
    /// What else is worth knowing: each line in the spellings that would do, the best one first.
    pub notes: Vec<Vec<String>>,
    /// Whether a browser was opened, and which keys there are.
    pub footer: String,
}

/// One open Service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadyRow {
    /// `NAMESPACE/NAME`.
    pub name: String,
    /// The port, by name and number.
    pub port: String,
    /// Its endpoints, as far as they are known.
    pub ready: Option<Readiness>,
    /// Where it is.
    pub url: String,
}

/// A column of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadyColumn {
    Name,
    Port,
    Ready,
    Url,
}

/// What the rows show, the richest first. The URL says both namespace and name.
const LAYOUTS: [&[ReadyColumn]; 4] = [
    &[ReadyColumn::Name, ReadyColumn::Port, ReadyColumn::Ready, ReadyColumn::Url],
    &[ReadyColumn::Name, ReadyColumn::Ready, ReadyColumn::Url],
    &[ReadyColumn::Ready, ReadyColumn::Url],
    &[ReadyColumn::Url],
];

impl ReadyBlock {
    /// Its lines for a terminal of `width` columns. A URL is never cut: where even that alone is too long, it wraps.
    pub fn lines(&self, width: usize) -> Vec<StyledText> {
        let mut lines = vec![self.heading(width), StyledText::default()];
        lines.extend(self.row_lines(width));
        lines.extend(self.notes.iter().map(|spellings| StyledText::new(TextTone::Dim, fitting(spellings, width))));
        lines.push(StyledText::new(TextTone::Dim, format!("{INDENT}{}", self.footer)));
        lines
    }

    fn heading(&self, width: usize) -> StyledText {
        let Some(context) = &self.context else { return StyledText::new(TextTone::Dim, self.server.clone()) };
        let line = |context: &str| format!("context {context} · {}", self.server);
        let room = width.saturating_sub(line("").width()).max(SHORTEST_CONTEXT);
        StyledText::new(TextTone::Dim, line(&cut_in_the_middle(context, room)))
    }

    fn row_lines(&self, width: usize) -> Vec<StyledText> {
        let layouts = LAYOUTS.iter().map(|columns| self.laid_out(columns));
        let fits = |lines: &Vec<StyledText>| lines.iter().all(|line| line.width() <= width);
        let bare = || self.rows.iter().map(|row| StyledText::new(TextTone::Bright, row.url.clone())).collect();
        layouts.into_iter().find(fits).unwrap_or_else(bare)
    }

    fn laid_out(&self, columns: &[ReadyColumn]) -> Vec<StyledText> {
        let width_of = |column: &ReadyColumn| self.rows.iter().map(|row| column.text(row).width()).max().unwrap_or(0);
        let widths: Vec<usize> = columns.iter().map(width_of).collect();
        let line = |row: &ReadyRow| {
            let cells = columns.iter().zip(&widths).filter(|(_, width)| **width > 0);
            cells.enumerate().fold(StyledText::new(TextTone::Plain, INDENT), |line, (at, (column, width))| {
                let gap = if at == 0 { "" } else { GAP };
                let text = column.text(row);
                let padding = if *column == ReadyColumn::Url { 0 } else { width - text.width() };
                line.with(TextTone::Plain, gap).with(column.tone(row), text).with(TextTone::Plain, " ".repeat(padding))
            })
        };
        self.rows.iter().map(line).collect()
    }
}

impl ReadyColumn {
    fn text(self, row: &ReadyRow) -> String {
        match self {
            Self::Name => row.name.clone(),
            Self::Port => row.port.clone(),
            Self::Ready => row.ready.map(|count| format!("{}/{}", count.ready, count.total)).unwrap_or_default(),
            Self::Url => row.url.clone(),
        }
    }

    fn tone(self, row: &ReadyRow) -> TextTone {
        match self {
            Self::Url => TextTone::Bright,
            Self::Ready if row.ready.is_some_and(|count| count.ready == 0) => TextTone::Doubtful,
            _ => TextTone::Plain,
        }
    }
}

/// The first of `spellings` that fits, indented, else the last.
fn fitting(spellings: &[String], width: usize) -> String {
    let is_narrow = |text: &&String| INDENT.len() + text.width() <= width;
    let chosen = spellings.iter().find(is_narrow).or(spellings.last());
    chosen.map(|text| format!("{INDENT}{text}")).unwrap_or_default()
}

/// `text` in at most `width` columns: long names of contexts differ at their ends.
fn cut_in_the_middle(text: &str, width: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let (first, last) = (kept.div_ceil(2), kept / 2);
    characters[..first].iter().chain(&['…']).chain(&characters[characters.len() - last..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> ReadyBlock {
        let row = |name: &str, port: &str, ready: usize, url: &str| ReadyRow {
            name: name.to_owned(),
            port: port.to_owned(),
            ready: Some(Readiness { ready, total: 1 }),
            url: format!("http://{url}.localhost:8001/"),
        };
        ReadyBlock {
            context: Some("dev".to_owned()),
            server: "https://10.77.0.1:6443".to_owned(),
            rows: vec![
                row("monitoring/grafana", "service:80", 1, "grafana--monitoring--lwd7ia"),
                row("shop/checkout", "http:80", 0, "checkout--shop--5biuz7"),
            ],
            notes: vec![vec!["for curl: http://127.0.0.1:8001/long".to_owned(), "http://127.0.0.1:8001/".to_owned()]],
            footer: "opening in the browser · o open · q quit".to_owned(),
        }
    }

    fn check(block: &ReadyBlock, width: usize, expect: &[&str]) {
        let lines: Vec<String> = block.lines(width).iter().map(|line| line.painted(false)).collect();
        assert_eq!(lines, expect, "{width} columns");
    }

    #[test]
    fn wide_and_narrow() {
        let heading = "context dev · https://10.77.0.1:6443";
        let footer = "  opening in the browser · o open · q quit";
        check(
            &block(),
            100,
            &[
                heading,
                "",
                "  monitoring/grafana   service:80   1/1   http://grafana--monitoring--lwd7ia.localhost:8001/",
                "  shop/checkout        http:80      0/1   http://checkout--shop--5biuz7.localhost:8001/",
                "  for curl: http://127.0.0.1:8001/long",
                footer,
            ],
        );
        check(
            &block(),
            79,
            &[
                heading,
                "",
                "  monitoring/grafana   1/1   http://grafana--monitoring--lwd7ia.localhost:8001/",
                "  shop/checkout        0/1   http://checkout--shop--5biuz7.localhost:8001/",
                "  for curl: http://127.0.0.1:8001/long",
                footer,
            ],
        );
        let urls =
            ["http://grafana--monitoring--lwd7ia.localhost:8001/", "http://checkout--shop--5biuz7.localhost:8001/"];
        check(&block(), 36, &[heading, "", urls[0], urls[1], "  http://127.0.0.1:8001/", footer]);
    }

    #[test]
    fn six_services_take_few_lines() {
        let rows = (0..6).map(|_| block().rows[0].clone()).collect();
        assert_eq!(ReadyBlock { rows, ..block() }.lines(79).len(), 6 + 4);
    }

    #[test]
    fn long_contexts_are_cut_in_the_middle() {
        let context = Some("arn:aws:eks:eu-central-1:123456789012:cluster/production-blue".to_owned());
        let line = ReadyBlock { context, ..block() }.lines(60)[0].painted(false);
        assert_eq!(line, "context arn:aws:eks:e…oduction-blue · https://10.77.0.1:6443");
    }

    #[test]
    fn only_the_url_stands_out() {
        let line = block().lines(100)[2].painted(true);
        assert_eq!(line.matches("\u{1b}[36m").count(), 1, "{line:?}");
        assert!(line.contains("\u{1b}[36m\u{1b}[1mhttp://grafana"), "{line:?}");
    }
}
