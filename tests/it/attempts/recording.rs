//! The kept table: read, compared with what was played, and written anew. Its form is told at its beginning.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use super::stage::Played;

const HEAD: &str = include_str!("head.txt");
const RUN: &str = "=== ";
const ROW: &str = "--- ";
const CHANGED: &str = "changed: ";
const WAS: &str = "was:";
const NOW: &str = "now:";

/// A run by its title, and its rows as they were played.
pub(super) type PlayedRun = (String, Vec<Played>);

/// Run and row.
type Key = (String, String);

/// What is kept of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kept {
    /// Why it is meant to be another than before.
    changed: Option<String>,
    was: Vec<String>,
    now: Vec<String>,
}

/// The kept table.
#[derive(Clone, Default)]
pub(super) struct Recording(HashMap<Key, Kept>);

impl Recording {
    /// Reads the table; panics where a row stands twice or a change has no reason.
    pub(super) fn read(text: &str) -> Self {
        let mut rows: HashMap<Key, Kept> = HashMap::new();
        let (mut run, mut row, mut in_was) = (String::new(), Key::default(), false);
        for line in text.lines().skip_while(|line| !line.starts_with(RUN)) {
            let rest = line.trim_start();
            if let Some(title) = line.strip_prefix(RUN) {
                title.clone_into(&mut run);
            } else if let Some(title) = line.strip_prefix(ROW) {
                row = (run.clone(), title.to_owned());
                in_was = false;
                assert!(rows.insert(row.clone(), Kept::default()).is_none(), "twice in the table: {row:?}");
            } else if !rest.is_empty() {
                let kept = rows.get_mut(&row).expect("lines of the table follow a row's title");
                match rest {
                    WAS | NOW => in_was = rest == WAS,
                    _ if in_was => kept.was.push(rest.to_owned()),
                    _ => match rest.strip_prefix(CHANGED.trim_end()) {
                        Some(reason) => kept.changed = Some(reason.trim().to_owned()),
                        None => kept.now.push(rest.to_owned()),
                    },
                }
            }
        }
        let without_reason = rows.iter().find(|(_, kept)| kept.changed.as_deref() == Some(""));
        assert!(without_reason.is_none(), "a change without a reason: {without_reason:?}");
        Self(rows)
    }

    /// How the table differs from what was played, row by row; empty where it does not.
    pub(super) fn differences(&self, played: &[PlayedRun]) -> String {
        let mut text = String::new();
        let mut known = HashSet::new();
        for (key, found) in rows_of(played) {
            let kept = self.0.get(&key).map_or(&[][..], |kept| &kept.now);
            if kept != found {
                let _ = write!(text, "\n{RUN}{}\n{ROW}{}\n{}", key.0, key.1, difference(kept, found));
            }
            known.insert(key);
        }
        let mut gone: Vec<&Key> = self.0.keys().filter(|key| !known.contains(*key)).collect();
        gone.sort();
        for (run, row) in gone {
            let _ = write!(text, "\n{RUN}{run}\n{ROW}{row}\n  is played no more\n");
        }
        text
    }

    /// With `reason` at each row that is in the table, was played otherwise, and has no reason yet.
    pub(super) fn marked(&self, played: &[PlayedRun], reason: &str) -> Self {
        let mut rows = self.0.clone();
        for (key, found) in rows_of(played) {
            if let Some(kept) = rows.get_mut(&key).filter(|kept| kept.changed.is_none() && kept.now != *found) {
                kept.changed = Some(reason.to_owned());
            }
        }
        Self(rows)
    }

    /// The table as it has to be: what was played, and of rows that are marked as changed also what they were.
    pub(super) fn renewed(&self, played: &[PlayedRun]) -> String {
        let mut text = HEAD.to_owned();
        for (title, rows) in played {
            let _ = write!(text, "\n{RUN}{title}\n");
            for row in rows {
                let key = (title.clone(), row.title.clone());
                let kept = self.0.get(&key).cloned().unwrap_or_default();
                let _ = writeln!(text, "{ROW}{}", row.title);
                write_row(&mut text, &kept, &row.lines);
            }
        }
        text
    }
}

fn rows_of(played: &[PlayedRun]) -> impl Iterator<Item = (Key, &Vec<String>)> {
    played.iter().flat_map(|(run, rows)| rows.iter().map(move |row| ((run.clone(), row.title.clone()), &row.lines)))
}

fn write_row(text: &mut String, kept: &Kept, played: &[String]) {
    let Some(reason) = &kept.changed else { return write_lines(text, "  ", played) };
    let was = if kept.was.is_empty() { &kept.now } else { &kept.was };
    let _ = writeln!(text, "  {CHANGED}{reason}");
    let _ = writeln!(text, "  {WAS}");
    write_lines(text, "    ", was);
    let _ = writeln!(text, "  {NOW}");
    write_lines(text, "    ", played);
}

fn write_lines(text: &mut String, indent: &str, lines: &[String]) {
    for line in lines {
        let _ = writeln!(text, "{indent}{line}");
    }
}

/// Lines of the table alone with `-`, those that were played alone with `+`.
fn difference(kept: &[String], played: &[String]) -> String {
    let mut text = String::new();
    for line in kept {
        let mark = if played.contains(line) { ' ' } else { '-' };
        let _ = writeln!(text, "{mark} {line}");
    }
    for line in played.iter().filter(|line| !kept.contains(line)) {
        let _ = writeln!(text, "+ {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(lines: &[&str]) -> Vec<PlayedRun> {
        let lines = lines.iter().map(|&line| line.to_owned()).collect();
        vec![("run".to_owned(), vec![Played { title: "row".to_owned(), lines }])]
    }

    #[test]
    fn what_was_played_is_what_is_read() {
        let first = Recording::default().renewed(&played(&["1 a", "client gets 200"]));
        let table = Recording::read(&first);
        assert_eq!(table.differences(&played(&["1 a", "client gets 200"])), "");
        assert_eq!(table.renewed(&played(&["1 a", "client gets 200"])), first);
        assert_eq!(
            table.differences(&played(&["1 b", "client gets 200"])),
            "\n=== run\n--- row\n- 1 a\n  client gets 200\n+ 1 b\n"
        );
        assert!(table.differences(&[]).contains("is played no more"));
    }

    #[test]
    fn a_marked_row_keeps_what_it_was() {
        let first = Recording::default().renewed(&played(&["1 a"]));
        let marked = first.replace("--- row\n", "--- row\n  changed: twice at most\n");
        let second = Recording::read(&marked).renewed(&played(&["1 b"]));
        assert!(second.ends_with("--- row\n  changed: twice at most\n  was:\n    1 a\n  now:\n    1 b\n"), "{second}");
        let table = Recording::read(&second);
        assert_eq!(table.differences(&played(&["1 b"])), "");
        let third = table.renewed(&played(&["1 c"]));
        assert!(third.ends_with("  was:\n    1 a\n  now:\n    1 c\n"), "what it was at first: {third}");
    }

    #[test]
    fn a_reason_marks_all_that_differ() {
        let table = Recording::read(&Recording::default().renewed(&played(&["1 a"])));
        assert_eq!(table.marked(&played(&["1 a"]), "why").renewed(&played(&["1 a"])), table.renewed(&played(&["1 a"])));
        let marked = table.marked(&played(&["1 b"]), "why").renewed(&played(&["1 b"]));
        assert!(marked.ends_with("--- row\n  changed: why\n  was:\n    1 a\n  now:\n    1 b\n"), "{marked}");
        let again = Recording::read(&marked).marked(&played(&["1 c"]), "another").renewed(&played(&["1 c"]));
        assert!(again.ends_with("  changed: why\n  was:\n    1 a\n  now:\n    1 c\n"), "{again}");
    }

    #[test]
    #[should_panic(expected = "a change without a reason")]
    fn a_change_has_a_reason() {
        Recording::read("=== run\n--- row\n  changed:\n  1 a\n");
    }
}
