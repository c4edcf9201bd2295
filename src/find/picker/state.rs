//! The picker between two keys: rows, what was typed, cursor and marks. Pure: keys and rows in, what to do next out.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use unicode_width::UnicodeWidthStr;

use super::filter_text::{CaretMove, FilterText};
use super::narrow::RowQuery;
use super::row::{PickedRow, PickerRow, RowColumn, remembered_row, rows_of};
use crate::find::history::HistoryEntry;
use crate::service::{Readiness, Service};

/// What one key means here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PickerKey {
    /// Text to filter by, typed or pasted.
    Text(String),
    /// Moves within that text.
    Caret(CaretMove),
    /// Takes away what is between here and there.
    Delete(CaretMove),
    /// Takes back everything.
    Clear,
    /// Moves by so many rows, up if negative.
    Move(isize),
    /// Moves by a page of rows, up if negative.
    Page(isize),
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// Marks the row, or takes the mark away, and moves by so many rows.
    Mark(isize),
    /// Opens the marked rows, or the one under the cursor.
    Enter,
    /// Leaves.
    Cancel,
    /// Leaves if nothing is typed (Ctrl-D), else takes away one character.
    EndOfInput,
    /// Asks for the list once more.
    LookAgain,
    /// Asks for that of all namespaces.
    LookEverywhere,
    /// Stops the program as the shell's job control does.
    Suspend,
}

/// What to do after a key.
#[derive(Debug, Clone)]
pub enum PickerStep {
    /// Draw again.
    Stay,
    /// Stop the program until the shell continues it.
    Suspend,
    /// The user left.
    Cancel,
    /// Ask for the list once more.
    Look(PickerLook),
    /// These were chosen, at least one.
    Chosen(Vec<PickedRow>),
}

/// For which list to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PickerLook {
    /// The same as before.
    Again,
    /// That of all namespaces.
    Everywhere,
}

/// What makes two rows one and the same, also when the list was read anew.
type RowIdentity = (String, String, String);

fn identity(row: &PickerRow) -> RowIdentity {
    (row.namespace.clone(), row.name.clone(), row.cell(RowColumn::Port).to_owned())
}

/// How many endpoints behind a row are ready.
pub struct ReadinessLookup(pub Box<dyn Fn(&PickerRow) -> Readiness + Send>);

/// Everything the screen shows.
#[derive(Default)]
pub struct PickerState {
    /// In order of arrival; the index is a row's identity.
    pub(super) rows: Vec<PickerRow>,
    /// By namespace.
    known: HashMap<String, HashSet<String>>,
    readiness: Option<ReadinessLookup>,
    /// What has arrived of a list that will take the place of the one that is shown.
    replacement: Option<Vec<Service>>,
    /// What was opened before and cannot be listed.
    remembered: Vec<PickerRow>,
    /// All rows in the order of [`PickerRow::rank`].
    ranked: Vec<usize>,
    /// The rows that match, best first.
    pub(super) shown: Vec<usize>,
    pub(super) typed: FilterText,
    query: RowQuery,
    /// Its place among the rows that match.
    pub(super) cursor: usize,
    /// The user went to a row, so the cursor stays with that row whatever arrives.
    holds_row: bool,
    /// The first row on the screen.
    top: usize,
    /// In the order of marking.
    pub(super) marked: Vec<usize>,
    /// Whether more rows may come.
    pub(super) is_loading: bool,
    /// What is to be said until the next key.
    pub(super) note: Option<String>,
    /// Columns of the screen that the widest cell of each column takes.
    pub(super) widest: [usize; RowColumn::ALL.len()],
    recent: Vec<HistoryEntry>,
    /// The namespace in which one looks when nothing is said.
    here: String,
    now: i64,
}

impl PickerState {
    /// Without rows, and `typed` as the first filter text. `recent` are the Targets opened last, the latest first;
    /// `now` is in seconds since the Unix epoch.
    pub fn new(typed: &str, recent: Vec<HistoryEntry>, now: i64) -> Self {
        let query = RowQuery::new(typed);
        Self { typed: FilterText::new(typed), query, is_loading: true, recent, now, ..Self::default() }
    }

    /// The same with what is in `namespace` before the others.
    #[must_use]
    pub fn at_home_in(self, namespace: &str) -> Self {
        Self { here: namespace.to_owned(), ..self }
    }

    /// Adds Services as they arrive; one that is there already is passed over (a list may have begun anew).
    pub fn add_services(&mut self, services: impl IntoIterator<Item = Service>) {
        if let Some(replacement) = &mut self.replacement {
            return replacement.extend(services);
        }
        for service in services {
            let known = self.known.entry(service.namespace.clone()).or_default();
            if known.insert(service.name.clone()) {
                let rows = rows_of(&Arc::new(service), &self.recent, self.now);
                rows.into_iter().for_each(|row| self.add_row(row));
            }
        }
        self.rank();
    }

    fn add_row(&mut self, mut row: PickerRow) {
        row.is_here = row.namespace == self.here;
        if let Some(readiness) = &self.readiness {
            row.set_readiness(readiness.0(&row));
        }
        self.rows.push(row);
    }

    /// Shows what was opened before in namespaces whose Services cannot be listed, those that `is_hidden` names.
    pub fn add_remembered(&mut self, is_hidden: impl Fn(&str) -> bool) {
        let entries = self.recent.iter().enumerate().filter(|(_, entry)| is_hidden(&entry.namespace));
        self.remembered = entries.map(|(place, entry)| remembered_row(entry, place)).collect();
        if self.replacement.is_none() {
            self.append_remembered();
        }
    }

    fn append_remembered(&mut self) {
        let known: HashSet<RowIdentity> = self.rows.iter().map(identity).collect();
        self.rows.extend(self.remembered.iter().filter(|row| !known.contains(&identity(row))).cloned());
        self.rank();
    }

    /// Takes note that a list is asked for once more; what is shown stays until all of it has arrived.
    pub fn look(&mut self, look: PickerLook) {
        self.is_loading = true;
        self.replacement = Some(Vec::new());
        self.remembered.clear();
        if look == PickerLook::Everywhere {
            // What is known is of fewer namespaces.
            self.readiness = None;
        }
    }

    /// Takes note that no more will arrive: of all that there is, or of a list that broke off.
    pub fn end_loading(&mut self, is_whole: bool) {
        self.is_loading = false;
        if let Some(services) = self.replacement.take().filter(|_| is_whole) {
            self.replace_rows(services);
        }
    }

    /// Cursor and marks stay with what they were at, as long as it is there.
    fn replace_rows(&mut self, services: Vec<Service>) {
        let held = self.shown.get(self.cursor).filter(|_| self.holds_row).map(|&index| identity(&self.rows[index]));
        let marked: Vec<RowIdentity> = self.marked.iter().map(|&index| identity(&self.rows[index])).collect();
        let place = self.cursor;
        self.rows.clear();
        self.known.clear();
        self.ranked.clear();
        self.shown.clear();
        self.widest = Default::default();
        self.add_services(services);
        self.append_remembered();
        let places: HashMap<RowIdentity, usize> =
            self.rows.iter().enumerate().map(|(index, row)| (identity(row), index)).collect();
        self.marked = marked.iter().filter_map(|marked| places.get(marked).copied()).collect();
        if let Some(held) = held {
            let index = places.get(&held);
            let found = index.and_then(|index| self.shown.iter().position(|shown| shown == index));
            self.cursor = found.unwrap_or(place.min(self.shown.len().saturating_sub(1)));
        }
    }

    /// Shows how many endpoints are ready, of what is there and of what will come.
    pub fn set_readiness(&mut self, readiness: ReadinessLookup) {
        for row in &mut self.rows {
            row.set_readiness(readiness.0(row));
        }
        self.readiness = Some(readiness);
        self.rank();
    }

    /// Says something until the next key.
    pub fn note(&mut self, note: impl Into<String>) {
        self.note = Some(note.into());
    }

    fn rank(&mut self) {
        let rows = &self.rows;
        for row in rows {
            for column in RowColumn::ALL {
                // Why a Service cannot be opened runs over several columns, and widens none.
                if row.offer.is_ok() || column == RowColumn::Service {
                    let widest = &mut self.widest[column as usize];
                    *widest = (*widest).max(row.cell(column).width());
                }
            }
        }
        self.ranked.extend(self.ranked.len()..rows.len());
        self.ranked.sort_by(|&a, &b| rows[a].rank().cmp(&rows[b].rank()));
        self.narrow();
    }

    fn narrow(&mut self) {
        let held = self.holds_row.then(|| self.shown.get(self.cursor).copied()).flatten();
        let rows = &self.rows;
        let query = &mut self.query;
        let mut scored: Vec<(usize, u32)> =
            self.ranked.iter().filter_map(|&index| query.score(&rows[index]).map(|score| (index, score))).collect();
        // Stable, so that equally good ones keep their rank.
        scored.sort_by_key(|&(index, score)| (rows[index].offer.is_err(), Reverse(score)));
        self.shown = scored.into_iter().map(|(index, _)| index).collect();
        let place = held.and_then(|held| self.shown.iter().position(|&index| index == held));
        self.cursor = place.unwrap_or(0);
    }

    /// Acts on a key. `page` is how many rows the screen shows.
    pub fn press(&mut self, key: PickerKey, page: usize) -> PickerStep {
        self.note = None;
        let page = isize::try_from(page.max(1)).unwrap_or(isize::MAX);
        match key {
            PickerKey::Text(text) => self.retype(|typed| typed.insert(&text)),
            PickerKey::Caret(movement) => self.typed.go(movement),
            PickerKey::Delete(movement) => self.retype(|typed| typed.delete(movement)),
            PickerKey::Clear => self.retype(FilterText::clear),
            PickerKey::Move(rows) => self.go(rows),
            PickerKey::Page(pages) => self.go(pages.saturating_mul(page)),
            PickerKey::First => self.go(isize::MIN),
            PickerKey::Last => self.go(isize::MAX),
            PickerKey::Mark(rows) => self.mark(rows),
            PickerKey::Enter => return self.enter(),
            PickerKey::Cancel => return PickerStep::Cancel,
            PickerKey::EndOfInput if self.typed.as_str().is_empty() => return PickerStep::Cancel,
            PickerKey::EndOfInput => self.retype(|typed| typed.delete(CaretMove::Right)),
            PickerKey::LookAgain => return PickerStep::Look(PickerLook::Again),
            PickerKey::LookEverywhere => return PickerStep::Look(PickerLook::Everywhere),
            PickerKey::Suspend => return PickerStep::Suspend,
        }
        PickerStep::Stay
    }

    fn retype(&mut self, change: impl FnOnce(&mut FilterText)) {
        let before = self.typed.as_str().to_owned();
        change(&mut self.typed);
        if self.typed.as_str() != before {
            self.query = RowQuery::new(self.typed.as_str());
            self.holds_row = false;
            self.narrow();
        }
    }

    fn go(&mut self, rows: isize) {
        let last = self.shown.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(rows).min(last);
        self.holds_row = true;
    }

    fn mark(&mut self, rows: isize) {
        let Some(&index) = self.shown.get(self.cursor) else { return };
        if let Err(reason) = self.picked(index) {
            return self.note(reason);
        }
        match self.marked.iter().position(|&marked| marked == index) {
            Some(place) => {
                self.marked.remove(place);
            }
            None => self.marked.push(index),
        }
        self.go(rows);
    }

    fn enter(&mut self) -> PickerStep {
        let chosen = match self.shown.get(self.cursor) {
            _ if !self.marked.is_empty() => self.marked.iter().map(|&index| self.picked(index)).collect(),
            Some(&index) => self.picked(index).map(|picked| vec![picked]),
            None => Err(self.nothing_matches().unwrap_or_else(|| "nothing matches yet".to_owned())),
        };
        match chosen {
            Ok(picked) => return PickerStep::Chosen(picked),
            Err(reason) => self.note(reason),
        }
        PickerStep::Stay
    }

    /// What to say where no row is left.
    pub(super) fn nothing_matches(&self) -> Option<String> {
        let typed = self.typed.as_str();
        let is_so = self.shown.is_empty() && !typed.is_empty() && !self.is_loading;
        is_so.then(|| format!("nothing matches \"{typed}\" · Ctrl-U clears"))
    }

    /// The row, or why it cannot be opened. Which row that is the cursor shows; the reason must fit beside it.
    fn picked(&self, index: usize) -> Result<PickedRow, String> {
        self.rows[index].offer.clone().map_err(|reason| format!("cannot be opened: {reason}"))
    }

    /// The rows at `places` among those that match, or why one of them cannot be opened.
    ///
    /// # Errors
    /// With that reason.
    pub fn chosen_at(&self, places: &[usize]) -> Result<Vec<PickedRow>, String> {
        let chosen = places.iter().filter_map(|&place| self.shown.get(place)).map(|&index| {
            let name = self.rows[index].cell(RowColumn::Service);
            self.picked(index).map_err(|reason| format!("{name} {reason}"))
        });
        chosen.collect()
    }

    /// The row at `place` among those that match, and whether it is marked.
    pub fn at(&self, place: usize) -> Option<(&PickerRow, bool)> {
        self.shown.get(place).map(|&index| (&self.rows[index], self.marked.contains(&index)))
    }

    /// The places to show on a screen of `height` rows, the cursor among them.
    pub fn window(&mut self, height: usize) -> Range<usize> {
        let lowest_top = (self.cursor + 1).saturating_sub(height);
        let highest_top = self.cursor.min(self.shown.len().saturating_sub(height));
        self.top = self.top.clamp(lowest_top, highest_top.max(lowest_top));
        self.top..self.shown.len().min(self.top + height)
    }

    /// The characters that match what was typed in each column of the row at `place`.
    pub fn matched(&mut self, place: usize) -> [Vec<usize>; RowColumn::ALL.len()] {
        self.shown.get(place).map(|&index| self.query.matched(&self.rows[index])).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::history::tests::entry;
    use crate::find::picker::row::tests::service;

    fn picker(services: &[(&str, &str)]) -> PickerState {
        let mut picker = PickerState::new("", Vec::new(), 0);
        add(&mut picker, services);
        picker
    }

    fn add(picker: &mut PickerState, services: &[(&str, &str)]) {
        picker.add_services(services.iter().map(|(name, ports)| (*service(name, ports)).clone()));
    }

    fn text(text: &str) -> PickerKey {
        PickerKey::Text(text.to_owned())
    }

    fn shown(picker: &PickerState) -> Vec<String> {
        (0..).map_while(|place| picker.at(place)).map(|(row, _)| row.cell(RowColumn::Service).to_owned()).collect()
    }

    fn under_cursor(picker: &PickerState) -> String {
        picker.at(picker.cursor).unwrap().0.cell(RowColumn::Service).to_owned()
    }

    fn chosen(step: PickerStep) -> Vec<String> {
        match step {
            PickerStep::Chosen(picked) => {
                let name = |picked: &PickedRow| match picked {
                    PickedRow::Port(port) => format!("{}:{}", port.service.name, port.choice.port.number),
                    PickedRow::Remembered(entry) => format!("{} again", entry.id),
                };
                picked.iter().map(name).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn three_letters_and_enter() {
        let mut picker = picker(&[("a/redis", "6379"), ("monitoring/grafana", "80"), ("a/graph-db", "7474")]);
        for letter in ["g", "r", "a"] {
            picker.press(text(letter), 10);
        }
        assert_eq!(shown(&picker), ["monitoring/grafana", "a/graph-db"]);
        assert_eq!(chosen(picker.press(PickerKey::Enter, 10)), ["grafana:80"]);
    }

    #[test]
    fn typing_can_be_taken_back() {
        let mut picker = picker(&[("a/one", "1"), ("a/two", "2")]);
        picker.press(text("one "), 10);
        picker.press(text("twx"), 10);
        assert_eq!(picker.shown.len(), 0);
        picker.press(PickerKey::Delete(CaretMove::WordLeft), 10);
        assert_eq!(picker.typed.as_str(), "one ");
        picker.press(PickerKey::Delete(CaretMove::WordLeft), 10);
        assert_eq!((picker.typed.as_str(), picker.shown.len()), ("", 2));
        picker.press(text("tü"), 10);
        picker.press(PickerKey::Delete(CaretMove::Left), 10);
        assert_eq!(picker.typed.as_str(), "t");
        picker.press(PickerKey::Caret(CaretMove::Left), 10);
        picker.press(text("o"), 10);
        assert_eq!((picker.typed.as_str(), picker.shown.len()), ("ot", 0));
        picker.press(PickerKey::Clear, 10);
        assert_eq!(picker.typed.as_str(), "");
    }

    #[test]
    fn the_cursor_stays_within_the_rows() {
        let mut picker = picker(&[("a/a", "1"), ("a/b", "1"), ("a/c", "1")]);
        let mut check = |key: PickerKey, expect: usize| {
            picker.press(key.clone(), 2);
            assert_eq!(picker.cursor, expect, "{key:?}");
        };
        check(PickerKey::Move(-1), 0);
        check(PickerKey::Move(1), 1);
        check(PickerKey::Page(1), 2);
        check(PickerKey::Move(1), 2);
        check(PickerKey::First, 0);
        check(PickerKey::Last, 2);
        check(PickerKey::Page(-1), 0);
    }

    #[test]
    fn the_window_follows_the_cursor() {
        let names: Vec<String> = (0..10).map(|number| format!("a/s{number}")).collect();
        let services: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
        let mut picker = picker(&services);
        assert_eq!(picker.window(4), 0..4);
        picker.press(PickerKey::Move(4), 4);
        assert_eq!(picker.window(4), 1..5);
        picker.press(PickerKey::Move(-2), 4);
        assert_eq!(picker.window(4), 1..5);
        picker.press(PickerKey::First, 4);
        assert_eq!(picker.window(4), 0..4);
        picker.press(PickerKey::Last, 4);
        assert_eq!(picker.window(4), 6..10);
        assert_eq!(picker.window(20), 0..10);
        assert_eq!(picker.window(0), 10..10);
    }

    #[test]
    fn rows_that_arrive_do_not_move_the_cursor_off_the_row_the_user_went_to() {
        let mut picker = picker(&[("b/b", "1"), ("c/c", "1")]);
        add(&mut picker, &[("a/a", "1")]);
        assert_eq!(under_cursor(&picker), "a/a", "nobody has gone anywhere yet");
        picker.press(PickerKey::Move(1), 10);
        assert_eq!(under_cursor(&picker), "b/b");
        add(&mut picker, &[("a/0", "1"), ("z/web-ui", "80")]);
        assert_eq!(under_cursor(&picker), "b/b");
        assert_eq!(shown(&picker), ["z/web-ui", "a/0", "a/a", "b/b", "c/c"]);
    }

    #[test]
    fn a_list_that_begins_anew_doubles_nothing() {
        let mut picker = picker(&[("a/a", "1"), ("a/b", "1")]);
        add(&mut picker, &[("a/a", "1"), ("a/b", "1"), ("b/a", "1")]);
        assert_eq!(shown(&picker), ["a/a", "a/b", "b/a"]);
    }

    #[test]
    fn marked_rows_are_opened_in_the_order_of_marking_whatever_is_typed() {
        let mut picker = picker(&[("a/a", "1"), ("a/b", "2"), ("a/c", "3")]);
        picker.press(PickerKey::Move(2), 10);
        picker.press(PickerKey::Mark(1), 10);
        picker.press(PickerKey::First, 10);
        picker.press(PickerKey::Mark(1), 10);
        assert_eq!((picker.marked.len(), picker.cursor), (2, 1));
        picker.press(text("b"), 10);
        assert_eq!(chosen(picker.press(PickerKey::Enter, 10)), ["c:3", "a:1"]);
    }

    #[test]
    fn a_mark_can_be_taken_away() {
        let mut picker = picker(&[("a/a", "1"), ("a/b", "2")]);
        picker.press(PickerKey::Mark(0), 10);
        picker.press(PickerKey::Mark(0), 10);
        assert_eq!(picker.marked.len(), 0);
        assert_eq!(chosen(picker.press(PickerKey::Enter, 10)), ["a:1"]);
    }

    #[test]
    fn what_cannot_be_opened_is_last_and_says_why() {
        let mut picker = picker(&[("a/dns", "53/UDP"), ("b/b", "1")]);
        assert_eq!(shown(&picker), ["b/b", "a/dns"]);
        picker.press(PickerKey::Last, 10);
        for key in [PickerKey::Enter, PickerKey::Mark(0)] {
            assert!(matches!(picker.press(key, 10), PickerStep::Stay));
            assert_eq!(picker.note.as_deref(), Some("cannot be opened: no TCP port"));
        }
        assert_eq!(picker.marked.len(), 0);
        picker.press(PickerKey::Move(-1), 10);
        assert_eq!(picker.note.as_deref(), None);
    }

    #[test]
    fn without_a_match_there_is_nothing_to_open() {
        let mut picker = picker(&[("a/a", "1")]);
        picker.press(text("zzz"), 10);
        for key in [PickerKey::Enter, PickerKey::Mark(1), PickerKey::Move(1), PickerKey::Last, PickerKey::Page(-1)] {
            assert!(matches!(picker.press(key, 10), PickerStep::Stay));
        }
        assert_eq!(picker.window(5), 0..0);
    }

    #[test]
    fn ways_out() {
        let mut picker = picker(&[("a/a", "1")]);
        assert!(matches!(picker.press(PickerKey::Cancel, 10), PickerStep::Cancel));
        assert!(matches!(picker.press(PickerKey::EndOfInput, 10), PickerStep::Cancel));
        assert!(matches!(picker.press(PickerKey::Suspend, 10), PickerStep::Suspend));
        picker.press(text("a"), 10);
        picker.press(PickerKey::Caret(CaretMove::Left), 10);
        assert!(matches!(picker.press(PickerKey::EndOfInput, 10), PickerStep::Stay));
        assert!(matches!(picker.press(PickerKey::EndOfInput, 10), PickerStep::Cancel), "nothing is left");
    }

    #[test]
    fn a_list_read_again_takes_the_place_of_the_first_when_all_of_it_is_there() {
        let mut picker = picker(&[("a/a", "1"), ("a/b", "2"), ("a/c", "3")]);
        picker.end_loading(true);
        picker.press(PickerKey::Mark(1), 10);
        picker.press(PickerKey::Move(1), 10);
        picker.press(PickerKey::Mark(0), 10);
        assert!(matches!(picker.press(PickerKey::LookAgain, 10), PickerStep::Look(PickerLook::Again)));
        picker.look(PickerLook::Again);
        add(&mut picker, &[("a/0", "1"), ("a/c", "3")]);
        assert_eq!(shown(&picker), ["a/a", "a/b", "a/c"], "the list is not complete");
        picker.end_loading(true);
        assert_eq!(shown(&picker), ["a/0", "a/c"]);
        assert_eq!((under_cursor(&picker).as_str(), picker.is_loading), ("a/c", false));
        assert_eq!(chosen(picker.press(PickerKey::Enter, 10)), ["c:3"], "a/a is gone, and its mark");
    }

    #[test]
    fn a_list_that_breaks_off_takes_nothing_away() {
        let mut picker = picker(&[("a/a", "1"), ("a/b", "2")]);
        picker.look(PickerLook::Again);
        add(&mut picker, &[("a/0", "1")]);
        picker.end_loading(false);
        assert_eq!(shown(&picker), ["a/a", "a/b"]);
    }

    #[test]
    fn looking_everywhere_knows_of_no_endpoints_yet() {
        let none = |_: &PickerRow| Readiness { ready: 0, total: 0 };
        let mut picker = picker(&[("a/a", "1")]);
        picker.set_readiness(ReadinessLookup(Box::new(none)));
        picker.look(PickerLook::Everywhere);
        add(&mut picker, &[("a/a", "1"), ("b/b", "1")]);
        picker.end_loading(true);
        assert_eq!(shown(&picker), ["a/a", "b/b"]);
        assert_eq!(picker.at(1).unwrap().0.cell(RowColumn::Ready), "");
    }

    #[test]
    fn who_may_not_list_gets_what_was_opened_before() {
        let recent = [("a", "x:web"), ("b", "y"), ("c", "z")].map(|(namespace, id)| entry(namespace, id, "/"));
        let mut picker = PickerState::new("", recent.into(), 0);
        add(&mut picker, &[("a/x", "web:1"), ("a/w", "1")]);
        picker.add_remembered(|namespace| namespace != "a");
        assert_eq!(shown(&picker), ["a/x", "b/y", "c/z", "a/w"]);
        picker.press(PickerKey::Move(1), 10);
        assert_eq!(chosen(picker.press(PickerKey::Enter, 10)), ["y again"]);
        picker.look(PickerLook::Again);
        picker.add_remembered(|namespace| namespace == "c");
        add(&mut picker, &[("a/w", "1")]);
        picker.end_loading(true);
        assert_eq!(shown(&picker), ["c/z", "a/w"], "each once, and only what cannot be listed now");
    }

    #[test]
    fn readiness_comes_before_or_after_its_service() {
        let known = |row: &PickerRow| Readiness { ready: usize::from(row.name == "a"), total: 2 };
        let mut picker = picker(&[("a/a", "1")]);
        let ready = |picker: &PickerState| -> Vec<String> {
            picker.rows.iter().map(|row| row.cell(RowColumn::Ready).to_owned()).collect()
        };
        assert_eq!(ready(&picker), [""]);
        picker.set_readiness(ReadinessLookup(Box::new(known)));
        add(&mut picker, &[("a/0", "1")]);
        assert_eq!(ready(&picker), ["1/2", "0/2 !"]);
        assert_eq!(shown(&picker), ["a/a", "a/0"]);
    }

    #[test]
    fn the_first_filter_text_counts_as_typed() {
        let mut picker = PickerState::new("b", Vec::new(), 0);
        add(&mut picker, &[("x/a", "1"), ("x/b", "1")]);
        assert_eq!(shown(&picker), ["x/b"]);
    }

    /// Not a benchmark: a guard against a keystroke that is quadratic in the rows. Optimised builds need a tenth.
    #[test]
    fn a_keystroke_among_many_rows_is_not_felt() {
        let services = (0..5_000).map(|number| (*service(&format!("ns-{}/svc-{number}", number % 50), "80")).clone());
        let mut picker = PickerState::new("", Vec::new(), 0);
        picker.add_services(services);
        let before = std::time::Instant::now();
        picker.press(text("svc 4"), 40);
        assert!(before.elapsed().as_millis() < 1_000, "{:?}", before.elapsed());
        assert!(picker.shown.len() > 1_000);
    }
}
