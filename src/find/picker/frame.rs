//! What the screen shows, as styled text for a given size. Pure.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::row::{PickerRow, RowColumn};
use super::state::{PickerLook, PickerState};
use crate::terminal::printable::printable_line;

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StyledSpan {
    /// Its text, without controls.
    pub text: String,
    /// What it looks like.
    pub style: SpanStyle,
}

/// What a piece of text is; what that looks like is the screen's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanStyle {
    /// Ordinary.
    Plain,
    /// Less important.
    Quiet,
    /// Headings and what was typed.
    Strong,
    /// Characters that match what was typed.
    Match,
    /// The sign of a marked row.
    Mark,
    /// Something the user should read.
    Note,
}

/// One line of the screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScreenLine {
    /// From left to right; together no wider than the screen.
    pub spans: Vec<StyledSpan>,
    /// The line of the cursor, shown as a bar across the screen.
    pub is_current: bool,
}

/// A whole screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScreenFrame {
    /// From top to bottom; as many as the screen is high at most.
    pub lines: Vec<ScreenLine>,
    /// Column and line of the text cursor.
    pub cursor: (u16, u16),
}

/// Columns and lines of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScreenSize {
    /// Columns.
    pub width: usize,
    /// Lines.
    pub height: usize,
}

/// Where the Services are, for the first line: people choose on the wrong cluster otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickerPlace {
    /// Context of the kubeconfig.
    pub context: Option<String>,
    /// URL of the API server.
    pub server: String,
    /// The namespaces looked in: `namespace default`, `all namespaces`.
    pub scope: String,
}

impl PickerPlace {
    /// Takes note that the list is asked for once more.
    pub fn look(&mut self, look: PickerLook) {
        if look == PickerLook::Everywhere {
            ALL_NAMESPACES.clone_into(&mut self.scope);
        }
    }
}

/// The scope when no namespace is left out.
pub const ALL_NAMESPACES: &str = "all namespaces";

const PROMPT: &str = "> ";
/// Room left of each row for the signs of cursor and mark.
const GUTTER: usize = 2;
/// Beside what was opened lately.
const RECENT: &str = "·";
/// Between columns.
const GAP: usize = 2;
/// So much of a name's end tells it from most others.
const LEGIBLE: usize = 24;

/// How many rows a screen of `height` lines shows.
pub fn page(height: usize) -> usize {
    FrameParts::of(height).rows
}

/// Draws `picker`.
pub fn frame(picker: &mut PickerState, place: &PickerPlace, size: ScreenSize) -> ScreenFrame {
    let parts = FrameParts::of(size.height);
    let mut lines = Vec::with_capacity(size.height);
    if parts.place {
        lines.push(place_line(place, size.width));
    }
    let (prompt, column) = prompt_line(picker, size.width);
    let cursor = (clamped(column), clamped(lines.len()));
    lines.push(prompt);
    let layout = ColumnLayout::of(picker, size.width);
    if parts.titles {
        lines.push(layout.titles());
    }
    let shown = picker.window(parts.rows);
    let missing = parts.rows - shown.len();
    lines.extend(shown.map(|place| row_line(picker, &layout, place, size.width)));
    if parts.footer {
        lines.extend(std::iter::repeat_n(ScreenLine::default(), missing));
        lines.push(footer(picker, place, size.width));
    }
    ScreenFrame { lines, cursor }
}

fn clamped(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// What there is room for; the prompt is always there.
struct FrameParts {
    place: bool,
    titles: bool,
    footer: bool,
    rows: usize,
}

impl FrameParts {
    fn of(height: usize) -> Self {
        let (footer, place, titles) = (height >= 4, height >= 5, height >= 7);
        let others = 1 + usize::from(footer) + usize::from(place) + usize::from(titles);
        Self { place, titles, footer, rows: height.saturating_sub(others) }
    }
}

fn place_line(place: &PickerPlace, width: usize) -> ScreenLine {
    let mut line = LineBuilder::new(width);
    if let Some(context) = &place.context {
        line.push("context ", SpanStyle::Quiet);
        line.push(&printable_line(context), SpanStyle::Strong);
        line.push("  ", SpanStyle::Quiet);
    }
    line.push(&printable_line(&place.scope), SpanStyle::Plain);
    // A piece of a URL says nothing.
    let server = format!("  {}", printable_line(&place.server));
    if line.width + server.width() <= width {
        line.push(&server, SpanStyle::Quiet);
    }
    line.done()
}

/// The prompt with the counts at the right end, and the column of the text cursor.
fn prompt_line(picker: &PickerState, width: usize) -> (ScreenLine, usize) {
    let mut counts = format!("{}/{}", picker.shown.len(), picker.rows.len());
    if !picker.marked.is_empty() {
        counts = format!("{} marked  {counts}", picker.marked.len());
    }
    if picker.is_loading {
        counts.push_str(" loading");
    }
    let (before, behind) = picker.typed.around_caret();
    let room = width.saturating_sub(PROMPT.len() + 1);
    let before = text_of(&shortened(&printable_line(before), room, KeptEnd::End));
    let behind = text_of(&shortened(&printable_line(behind), room.saturating_sub(before.width()), KeptEnd::Start));
    let column = PROMPT.len() + before.width();
    let mut line = LineBuilder::new(width);
    line.push(PROMPT, SpanStyle::Quiet);
    line.push(&(before + &behind), SpanStyle::Strong);
    if line.width + 2 + counts.width() <= width {
        line.pad_to(width - counts.width());
        line.push(&counts, SpanStyle::Quiet);
    }
    (line.done(), column.min(width.saturating_sub(1)))
}

fn row_line(picker: &mut PickerState, layout: &ColumnLayout, place: usize, width: usize) -> ScreenLine {
    let matched = picker.matched(place);
    let is_current = place == picker.cursor;
    let Some((row, is_marked)) = picker.at(place) else { return ScreenLine::default() };
    let mut line = LineBuilder::new(width);
    line.push(if is_current { ">" } else { " " }, SpanStyle::Strong);
    match (is_marked, row.recent) {
        (true, _) => line.push("*", SpanStyle::Mark),
        (false, Some(_)) => line.push(RECENT, SpanStyle::Quiet),
        (false, None) => line.push(" ", SpanStyle::Plain),
    }
    layout.cells(row, &matched, &mut line);
    ScreenLine { is_current, ..line.done() }
}

fn footer(picker: &PickerState, place: &PickerPlace, width: usize) -> ScreenLine {
    let refused = picker.rows.iter().filter(|row| row.offer.is_err()).count();
    let count = if refused > 0 { format!("{refused} cannot be opened") } else { String::new() };
    let mut line = LineBuilder::new(width);
    match picker.note.clone().or_else(|| picker.nothing_matches()) {
        Some(note) => line.push(&printable_line(&note), SpanStyle::Note),
        None => line.push(&keys(picker.marked.len(), place, width.saturating_sub(count.len() + GAP)), SpanStyle::Quiet),
    }
    if !count.is_empty() && line.width + GAP + count.len() <= width {
        line.pad_to(width - count.len());
        line.push(&count, SpanStyle::Quiet);
    }
    line.done()
}

/// As many keys as fit; the last of them is given up first.
fn keys(marked: usize, place: &PickerPlace, width: usize) -> String {
    let several = if marked == 0 { String::new() } else { format!(" the {marked} marked") };
    let (open, leave) = (format!("Enter open{several}  Tab mark several  "), "Esc leave");
    let everywhere = if place.scope == ALL_NAMESPACES { "" } else { "Ctrl-A all namespaces  " };
    let candidates = [format!("{everywhere}Ctrl-R look again  "), everywhere.to_owned(), String::new()];
    let lines = candidates.map(|more| format!("{open}{more}{leave}"));
    let fitting = lines.iter().find(|line| line.width() <= width);
    fitting.unwrap_or(&lines[2]).clone()
}

/// Which columns are shown, and how wide.
struct ColumnLayout {
    columns: Vec<(RowColumn, usize)>,
    width: usize,
}

impl ColumnLayout {
    /// Columns by importance: what does not fit is left out from the end.
    const BY_IMPORTANCE: [RowColumn; 6] =
        [RowColumn::Service, RowColumn::Port, RowColumn::Ready, RowColumn::Scheme, RowColumn::Type, RowColumn::Age];

    fn of(picker: &PickerState, width: usize) -> Self {
        let natural = RowColumn::ALL.map(|column| picker.widest[column as usize].max(column.title().len()));
        Self::fitting(natural, width)
    }

    /// Leaves out columns until the rest fits, then shares what is left: names are to be told apart, then ports read;
    /// a single very long name gets what nobody else wants.
    fn fitting(natural: [usize; 6], width: usize) -> Self {
        let room = width.saturating_sub(GUTTER);
        let legible = |column: RowColumn| match column {
            RowColumn::Service => natural[0].min(LEGIBLE),
            other => natural[other as usize],
        };
        // Type and age are not worth a name that nobody recognises.
        let least_of = |count: usize, column: RowColumn| match column {
            RowColumn::Service => natural[0].min(if count > 4 { LEGIBLE } else { 16 }),
            RowColumn::Port => natural[1].min(12),
            other => natural[other as usize],
        };
        let needed = |count: usize| -> usize {
            let kept = &Self::BY_IMPORTANCE[..count];
            kept.iter().map(|&column| least_of(count, column)).sum::<usize>() + GAP * (count - 1)
        };
        let count = (1..=6).rev().find(|&count| needed(count) <= room).unwrap_or(1);
        let kept = &Self::BY_IMPORTANCE[..count];
        let least = |column| least_of(count, column);
        let mut spare = room.saturating_sub(needed(count));
        let mut columns: Vec<(RowColumn, usize)> = RowColumn::ALL.map(|column| (column, least(column))).into();
        columns.retain(|(column, _)| kept.contains(column));
        for wanted in [&legible as &dyn Fn(RowColumn) -> usize, &|column| natural[column as usize]] {
            for (column, width) in &mut columns {
                let more = spare.min(wanted(*column) - *width);
                spare -= more;
                *width += more;
            }
        }
        columns[0].1 = columns[0].1.min(room);
        Self { columns, width }
    }

    fn titles(&self) -> ScreenLine {
        let mut line = LineBuilder::new(self.width);
        line.pad_to(GUTTER);
        for &(column, width) in &self.columns {
            let start = line.width;
            line.push(&text_of(&shortened(column.title(), width, KeptEnd::Start)), SpanStyle::Quiet);
            line.pad_to(start + width + GAP);
        }
        line.done()
    }

    fn cells(&self, row: &PickerRow, matched: &[Vec<usize>; 6], line: &mut LineBuilder) {
        let refused = row.offer.is_err();
        for &(column, width) in &self.columns {
            let start = line.width;
            // A reason may run over the columns that have nothing to say then.
            let width = if refused && column == RowColumn::Port { self.width.saturating_sub(start) } else { width };
            let keep = if column == RowColumn::Service { KeptEnd::End } else { KeptEnd::Start };
            let style = match column {
                RowColumn::Ready if row.lacks_endpoints() && !refused => SpanStyle::Note,
                column if refused || column > RowColumn::Port => SpanStyle::Quiet,
                _ => SpanStyle::Plain,
            };
            for (character, index) in shortened(row.cell(column), width, keep) {
                let is_match = index.is_some_and(|index| matched[column as usize].binary_search(&index).is_ok());
                line.push_char(character, if is_match { SpanStyle::Match } else { style });
            }
            if refused && column == RowColumn::Port {
                return;
            }
            line.pad_to(start + width + GAP);
        }
    }
}

/// Which end of a text matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeptEnd {
    Start,
    End,
}

/// The characters of `text` that fit into `width` columns, each with its index in `text`; `…` stands for what does not.
fn shortened(text: &str, width: usize, keep: KeptEnd) -> Vec<(char, Option<usize>)> {
    let mut kept: Vec<(char, Option<usize>)> =
        text.chars().enumerate().map(|(index, character)| (character, Some(index))).collect();
    if text.width() <= width {
        return kept;
    }
    if keep == KeptEnd::End {
        kept.reverse();
    }
    let mut used = 0;
    let fits = |&&(character, _): &&(char, Option<usize>)| {
        used += columns(character);
        used <= width.saturating_sub(1)
    };
    kept.truncate(kept.iter().take_while(fits).count());
    kept.extend((width > 0).then_some(('…', None)));
    if keep == KeptEnd::End {
        kept.reverse();
    }
    kept
}

fn text_of(characters: &[(char, Option<usize>)]) -> String {
    characters.iter().map(|&(character, _)| character).collect()
}

fn columns(character: char) -> usize {
    character.width().unwrap_or(0)
}

/// Puts spans together and never lets a line become wider than the screen.
struct LineBuilder {
    spans: Vec<StyledSpan>,
    width: usize,
    limit: usize,
}

impl LineBuilder {
    fn new(limit: usize) -> Self {
        Self { spans: Vec::new(), width: 0, limit }
    }

    fn push(&mut self, text: &str, style: SpanStyle) {
        for (character, _) in shortened(text, self.limit.saturating_sub(self.width), KeptEnd::Start) {
            self.push_char(character, style);
        }
    }

    fn push_char(&mut self, character: char, style: SpanStyle) {
        if self.width + columns(character) > self.limit {
            return;
        }
        self.width += columns(character);
        match self.spans.last_mut() {
            Some(span) if span.style == style => span.text.push(character),
            _ => self.spans.push(StyledSpan { text: character.to_string(), style }),
        }
    }

    fn pad_to(&mut self, width: usize) {
        while self.width < width.min(self.limit) {
            self.push_char(' ', SpanStyle::Plain);
        }
    }

    fn done(self) -> ScreenLine {
        ScreenLine { spans: self.spans, is_current: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::picker::filter_text::CaretMove;
    use crate::find::picker::row::tests::service;
    use crate::find::picker::state::{PickerKey, ReadinessLookup};
    use crate::service::Readiness;

    fn place() -> PickerPlace {
        PickerPlace {
            context: Some("prod".to_owned()),
            server: "https://10.0.0.1:6443".to_owned(),
            scope: "all namespaces".to_owned(),
        }
    }

    fn picker() -> PickerState {
        let mut picker = PickerState::new("", Vec::new(), 86_400 * 3);
        let services = [
            ("monitoring/grafana", "service:80"),
            ("shop/cart", "http:8080 metrics:9090"),
            ("kube-system/kube-dns", "dns:53/UDP"),
        ];
        picker.add_services(services.map(|(name, ports)| (*service(name, ports)).clone()));
        let counts = |row: &PickerRow| Readiness { ready: usize::from(row.name == "grafana"), total: 2 };
        picker.set_readiness(ReadinessLookup(Box::new(counts)));
        picker.is_loading = false;
        picker
    }

    fn drawn(picker: &mut PickerState, width: usize, height: usize) -> Vec<String> {
        let frame = frame(picker, &place(), ScreenSize { width, height });
        let text = |line: &ScreenLine| line.spans.iter().map(|span| span.text.as_str()).collect::<String>();
        frame.lines.iter().map(|line| text(line).trim_end().to_owned()).collect()
    }

    #[test]
    fn a_whole_screen() {
        let mut picker = picker();
        picker.press(PickerKey::Mark(1), 10);
        let expect = [
            "context prod  all namespaces  https://10.0.0.1:6443",
            ">                                                                  1 marked  4/4",
            "  SERVICE               PORT          SCHEME  TYPE       READY  AGE",
            " *monitoring/grafana    service:80    http    ClusterIP  1/2    3d",
            "> shop/cart             http:8080     http    ClusterIP  0/2 !  3d",
            "  shop/cart             metrics:9090  http    ClusterIP  0/2 !  3d",
            "  kube-system/kube-dns  no TCP port",
            "",
            "Enter open the 1 marked  Tab mark several  Esc leave          1 cannot be opened",
        ];
        assert_eq!(drawn(&mut picker, 80, 9), expect);
    }

    #[test]
    fn narrow_screens_lose_columns_by_importance_and_keep_names_end() {
        let row = |width| drawn(&mut picker(), width, 9)[3].clone();
        assert_eq!(row(68), "> monitoring/grafana    service:80    http    ClusterIP  1/2    3d");
        assert_eq!(row(62), "> monitoring/grafana    service:80    http    ClusterIP  1/2");
        assert_eq!(row(60), "> monitoring/grafana    service:80    http    1/2");
        assert_eq!(row(45), "> monitoring/grafana    service:80    1/2");
        assert_eq!(row(39), "> …itoring/grafana  service:80    1/2");
        assert_eq!(row(20), "> monitoring/grafana");
        assert_eq!(row(12), "> …g/grafana");
        assert_eq!(row(3), "> …");
    }

    #[test]
    fn one_very_long_name_does_not_take_the_ports_room() {
        let widths = |width| ColumnLayout::fitting([73, 18, 6, 12, 5, 3], width).columns;
        let (name, port) = (RowColumn::Service, RowColumn::Port);
        assert_eq!(widths(50)[..2], [(name, 19), (port, 12)]);
        assert_eq!(widths(62)[..2], [(name, 25), (port, 18)]);
        assert_eq!(widths(80)[..2], [(name, 24), (port, 18)]);
        assert_eq!(widths(100)[..2], [(name, 44), (port, 18)]);
        assert_eq!(widths(200)[..2], [(name, 73), (port, 18)]);
    }

    #[test]
    fn the_server_is_shown_as_a_whole_or_not_at_all() {
        assert_eq!(drawn(&mut picker(), 51, 9)[0], "context prod  all namespaces  https://10.0.0.1:6443");
        assert_eq!(drawn(&mut picker(), 50, 9)[0], "context prod  all namespaces");
    }

    #[test]
    fn low_screens_keep_the_prompt_and_the_row_under_the_cursor() {
        let first = |height| drawn(&mut picker(), 80, height);
        assert_eq!(first(1).len(), 1);
        assert!(first(2)[1].contains("grafana"));
        assert!(first(4)[3].starts_with("Enter"));
        assert!(first(5)[0].starts_with("context"));
        assert!(drawn(&mut picker(), 80, 0).len() <= 1);
    }

    #[test]
    fn nothing_is_wider_than_the_screen() {
        let mut place = place();
        place.context = Some("プロダクション環境".to_owned());
        let mut picker = picker();
        picker.press(PickerKey::Text("世界 grafana".to_owned()), 10);
        for width in 0..100 {
            for height in 0..12 {
                let frame = frame(&mut picker, &place, ScreenSize { width, height });
                assert!(frame.lines.len() <= height.max(1));
                assert!(usize::from(frame.cursor.0) < width.max(1));
                for line in frame.lines {
                    let columns: usize = line.spans.iter().map(|span| span.text.width()).sum();
                    assert!(columns <= width, "{width}x{height}: {line:?}");
                }
            }
        }
    }

    #[test]
    fn matches_stand_out() {
        let mut picker = picker();
        picker.press(PickerKey::Text("gra".to_owned()), 10);
        let frame = frame(&mut picker, &place(), ScreenSize { width: 80, height: 9 });
        let matched: Vec<&StyledSpan> =
            frame.lines[3].spans.iter().filter(|span| span.style == SpanStyle::Match).collect();
        assert_eq!(matched.len(), 1);
        assert_eq!(matched[0].text, "gra");
        assert!(frame.lines[3].is_current);
        assert_eq!(frame.cursor, (5, 1));
    }

    #[test]
    fn the_keys_that_fit() {
        let mut place = place();
        let mut shown = |scope: &str, width| {
            scope.clone_into(&mut place.scope);
            keys(0, &place, width)
        };
        let all = "Enter open  Tab mark several  Ctrl-R look again  Esc leave";
        assert_eq!(shown(ALL_NAMESPACES, all.len()), all);
        assert_eq!(shown(ALL_NAMESPACES, all.len() - 1), "Enter open  Tab mark several  Esc leave");
        let one = "Enter open  Tab mark several  Ctrl-A all namespaces  Ctrl-R look again  Esc leave";
        assert_eq!(shown("namespace a", one.len()), one);
        let less = "Enter open  Tab mark several  Ctrl-A all namespaces  Esc leave";
        assert_eq!(shown("namespace a", one.len() - 1), less);
    }

    #[test]
    fn the_caret_is_on_the_screen_wherever_it_is_in_the_text() {
        let mut picker = picker();
        picker.press(PickerKey::Text("0123456789".to_owned()), 10);
        let mut prompt = |keys: &[PickerKey], width| {
            keys.iter().for_each(|key| drop(picker.press(key.clone(), 10)));
            let frame = frame(&mut picker, &place(), ScreenSize { width, height: 9 });
            (frame.lines[1].spans.iter().map(|span| span.text.as_str()).collect::<String>(), frame.cursor.0)
        };
        assert_eq!(prompt(&[], 8), ("> …6789".to_owned(), 7));
        assert_eq!(prompt(&[PickerKey::Caret(CaretMove::Left)], 16), ("> 0123456789".to_owned(), 11));
        assert_eq!(prompt(&[PickerKey::Caret(CaretMove::WordLeft)], 8), ("> 0123…".to_owned(), 2));
    }

    #[test]
    fn without_a_context_there_is_none_to_name() {
        let place = PickerPlace { context: None, ..place() };
        let line: String = place_line(&place, 80).spans.into_iter().map(|span| span.text).collect();
        assert_eq!(line, "all namespaces  https://10.0.0.1:6443");
    }

    #[test]
    fn a_note_takes_the_place_of_the_keys() {
        let mut picker = picker();
        picker.note("not allowed to list all namespaces\u{1b}[2J");
        assert!(drawn(&mut picker, 80, 9)[8].starts_with("not allowed to list all namespaces\\u{1b}[2J"));
    }
}
