//! The choice for terminals that take no orders (`TERM=dumb`): numbered lines, and what is typed below them. Pure.

use super::row::{PickerRow, RowColumn};

/// So many rows are shown; a part of a name leads to the others.
const MAX_SHOWN_ROWS: usize = 30;

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberedAnswer {
    /// These, counted from 0; at least one.
    Places(Vec<usize>),
    /// Show what matches this.
    Filter(String),
    /// None of it.
    Leave,
}

/// A line for each of `rows`, the first of them 1.
pub fn numbered_rows<'a>(rows: impl ExactSizeIterator<Item = &'a PickerRow>) -> Vec<String> {
    let count = rows.len();
    let shown: Vec<&PickerRow> = rows.take(MAX_SHOWN_ROWS).collect();
    let columns = [RowColumn::Service, RowColumn::Port, RowColumn::Scheme, RowColumn::Ready];
    let widest = |column: &RowColumn| shown.iter().map(|row| row.cell(*column).chars().count()).max().unwrap_or(0);
    let widths = columns.each_ref().map(widest);
    let line = |(index, row): (usize, &&PickerRow)| {
        let cells = columns.iter().zip(widths).map(|(column, width)| format!("  {:width$}", row.cell(*column)));
        format!("{:>3}{}", index + 1, cells.collect::<String>()).trim_end().to_owned()
    };
    let mut lines: Vec<String> = shown.iter().enumerate().map(line).collect();
    if count > MAX_SHOWN_ROWS {
        lines.push(format!("     and {} more: type a part of the name", count - MAX_SHOWN_ROWS));
    }
    lines
}

/// A line for each of `items`, the first of them 1.
pub fn numbered(items: &[String]) -> Vec<String> {
    items.iter().enumerate().map(|(index, item)| format!("{:>3}  {item}", index + 1)).collect()
}

/// What `line` means where `count` rows were shown: numbers of rows, or else a part of a name.
pub fn answer(line: &str, count: usize) -> NumberedAnswer {
    if line.trim().is_empty() {
        return NumberedAnswer::Leave;
    }
    let place = |word: &str| word.parse::<usize>().ok()?.checked_sub(1).filter(|place| *place < count);
    let words = line.split([' ', ',', '\t']).map(str::trim).filter(|word| !word.is_empty());
    let places: Option<Vec<usize>> = words.map(place).collect();
    match places {
        Some(places) if !places.is_empty() => NumberedAnswer::Places(places),
        _ => NumberedAnswer::Filter(line.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::picker::row::tests::row;

    #[test]
    fn lines_with_their_numbers() {
        let rows = [row("monitoring/grafana", "service:80"), row("a/redis", "redis:6379")];
        let expect = ["  1  monitoring/grafana  service:80  http", "  2  a/redis             redis:6379  redis"];
        assert_eq!(numbered_rows(rows.iter()), expect);
        let many: Vec<PickerRow> = (0..32).map(|number| row(&format!("a/s{number}"), "80")).collect();
        let lines = numbered_rows(many.iter());
        assert_eq!((lines.len(), lines[30].as_str()), (31, "     and 2 more: type a part of the name"));
        assert_eq!(numbered(&["http:80".to_owned()]), ["  1  http:80"]);
    }

    #[test]
    fn numbers_or_a_part_of_a_name() {
        let check = |line: &str, expect: NumberedAnswer| assert_eq!(answer(line, 3), expect, "{line:?}");
        check("2\n", NumberedAnswer::Places(vec![1]));
        check(" 1, 3", NumberedAnswer::Places(vec![0, 2]));
        check("4", NumberedAnswer::Filter("4".to_owned()));
        check("0", NumberedAnswer::Filter("0".to_owned()));
        check("graf ana\n", NumberedAnswer::Filter("graf ana".to_owned()));
        check(" \n", NumberedAnswer::Leave);
        check(",", NumberedAnswer::Filter(",".to_owned()));
    }
}
