//! Which rows match what was typed, how well, and where. Pure.
//!
//! The syntax is fzf's: words in any order, each anywhere in the row and with gaps; `'word` without gaps, `^word` at the
//! beginning, `word$` at the end, `!word` nowhere.

use std::ops::Range;

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Matcher, Utf32Str};

use super::row::{PickerRow, RowColumn};

/// What a match within the Service's name counts more than one that needs other columns: about half a letter, so that
/// `pro` finds `monitoring/prometheus` before everything in namespace `prod`.
const NAME_BONUS: u32 = 12;

/// What was typed, ready to be compared with rows.
#[derive(Default)]
pub(super) struct RowQuery {
    pattern: Pattern,
    matcher: Matcher,
    /// A row as one text, kept to be used again for the next row.
    text: String,
    /// Where in it each column stands (in characters).
    columns: [Range<usize>; RowColumn::ALL.len()],
    wide: Vec<char>,
}

impl RowQuery {
    /// Reads `text`. An empty one matches every row alike.
    pub(super) fn new(text: &str) -> Self {
        let pattern = Pattern::parse(text, CaseMatching::Ignore, Normalization::Never);
        Self { pattern, ..Self::default() }
    }

    /// How well `row` matches; `None` if not at all.
    pub(super) fn score(&mut self, row: &PickerRow) -> Option<u32> {
        self.read(row);
        let whole = self.pattern.score(Utf32Str::new(&self.text, &mut self.wide), &mut self.matcher)?;
        let name = Utf32Str::new(&row.service.name, &mut self.wide);
        let in_name = self.pattern.score(name, &mut self.matcher).map_or(0, |score| score + NAME_BONUS);
        Some(whole.max(in_name))
    }

    /// The characters of each column that match, as indices into its text in rising order.
    pub(super) fn matched(&mut self, row: &PickerRow) -> [Vec<usize>; RowColumn::ALL.len()] {
        self.read(row);
        let mut indices = Vec::new();
        let text = Utf32Str::new(&self.text, &mut self.wide);
        let _ = self.pattern.indices(text, &mut self.matcher, &mut indices);
        indices.sort_unstable();
        indices.dedup();
        let within = |range: &Range<usize>| {
            let indices = indices.iter().map(|&index| index as usize);
            indices.filter(|index| range.contains(index)).map(|index| index - range.start).collect()
        };
        self.columns.each_ref().map(within)
    }

    fn read(&mut self, row: &PickerRow) {
        self.text.clear();
        let mut start = 0;
        for column in RowColumn::ALL {
            if column != RowColumn::ALL[0] {
                self.text.push(' ');
                start += 1;
            }
            let cell = row.cell(column);
            self.text.push_str(cell);
            let end = start + cell.chars().count();
            self.columns[column as usize] = start..end;
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::picker::row::tests::row;

    /// Which of `services` (`namespace/name`, one port `http:80` each) match `typed`, best first.
    fn check(typed: &str, services: &[&str], expect: &[&str]) {
        let mut query = RowQuery::new(typed);
        let mut found: Vec<(u32, &str)> = services
            .iter()
            .filter_map(|service| query.score(&row(service, "http:80")).map(|score| (score, *service)))
            .collect();
        found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        assert_eq!(found.into_iter().map(|(_, service)| service).collect::<Vec<_>>(), expect, "{typed:?}");
    }

    #[test]
    fn every_column_counts_but_the_name_most() {
        check("", &["b/x", "a/y"], &["b/x", "a/y"]);
        check("pro", &["prod/cart", "monitoring/prometheus"], &["monitoring/prometheus", "prod/cart"]);
        check("graf", &["a/logs", "monitoring/grafana", "grafana/agent"], &["monitoring/grafana", "grafana/agent"]);
        check("mon graf", &["a/grafana", "monitoring/grafana"], &["monitoring/grafana"]);
        check("grfn", &["a/logs", "a/grafana"], &["a/grafana"]);
        check("80", &["a/x"], &["a/x"]);
        check("clusterip", &["a/x"], &["a/x"]);
        check("GRAF", &["a/grafana"], &["a/grafana"]);
        check("zz", &["a/x"], &[]);
    }

    #[test]
    fn a_whole_word_goes_before_scattered_letters() {
        check("web", &["a/wide-ember", "a/shop-web"], &["a/shop-web", "a/wide-ember"]);
        check("mon", &["a/my-old-node", "monitoring/x"], &["monitoring/x", "a/my-old-node"]);
    }

    #[test]
    fn fzf_syntax() {
        check("!kube", &["kube-system/dns", "a/x"], &["a/x"]);
        check("^a/", &["b/a", "a/x"], &["a/x"]);
        check("'ab", &["a/b", "x/ab"], &["x/ab"]);
    }

    #[test]
    fn says_where_it_matches() {
        let matched = RowQuery::new("mon serv").matched(&row("monitoring/grafana", "service:80"));
        assert_eq!(matched[RowColumn::Service as usize], [0, 1, 2]);
        assert_eq!(matched[RowColumn::Port as usize], [0, 1, 2, 3]);
        assert_eq!(matched[RowColumn::Type as usize], [0; 0]);
    }

    #[test]
    fn what_is_typed_may_be_anything() {
        for typed in ["\\", "!", "^$", "'", "  ", "世界", "\u{202e}", "a\\ b", &"x".repeat(5000)] {
            check(typed, &[], &[]);
            let _ = RowQuery::new(typed).matched(&row("a/世界", "http:80"));
        }
    }
}
