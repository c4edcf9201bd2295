//! Which rows match what was typed, how well, and where. Pure.
//!
//! The syntax is fzf's: words in any order, each within one column and there with gaps; `'word` without gaps, `^word` at the
//! beginning of a column, `word$` at the end of one, `!word` in none.

use nucleo_matcher::pattern::{Atom, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Matcher, Utf32Str};

use super::row::{PickerRow, RowColumn};

/// What a word within the Service's name counts more than one elsewhere: about half a letter, so that `pro` finds
/// `monitoring/prometheus` before everything in namespace `prod`.
const NAME_BONUS: u32 = 12;

/// What was typed, ready to be compared with rows.
#[derive(Default)]
pub(super) struct RowQuery {
    pattern: Pattern,
    matcher: Matcher,
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
        let Self { pattern, matcher, wide } = self;
        let mut score_in = |word: &Atom, text: &str| word.score(Utf32Str::new(text, wide), matcher).map(u32::from);
        pattern.atoms.iter().try_fold(0, |sum, word| {
            let mut in_columns = RowColumn::ALL.map(|column| score_in(word, row.cell(column))).into_iter();
            if word.negative {
                return in_columns.all(|score| score.is_some()).then_some(sum);
            }
            let in_name = score_in(word, &row.name).map(|score| score + NAME_BONUS);
            in_columns.flatten().chain(in_name).max().map(|score| sum + score)
        })
    }

    /// The characters of each column that match, as indices into its text in rising order.
    pub(super) fn matched(&mut self, row: &PickerRow) -> [Vec<usize>; RowColumn::ALL.len()] {
        let Self { pattern, matcher, wide } = self;
        let mut matched: [Vec<usize>; RowColumn::ALL.len()] = Default::default();
        for word in pattern.atoms.iter().filter(|word| !word.negative) {
            let mut in_column = |column: RowColumn| {
                let mut indices = Vec::new();
                let score = word.indices(Utf32Str::new(row.cell(column), wide), matcher, &mut indices)?;
                Some((score, column as usize, indices))
            };
            let found = RowColumn::ALL.into_iter().filter_map(&mut in_column);
            // The last of equals: in the reading order the first.
            let Some((_, column, indices)) = found.rev().max_by_key(|(score, ..)| *score) else { continue };
            matched[column].extend(indices.into_iter().map(|index| index as usize));
        }
        for indices in &mut matched {
            indices.sort_unstable();
            indices.dedup();
        }
        matched
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
    fn a_word_stays_within_its_column() {
        check("gp80", &["a/graph"], &[]);
        check("xhttp", &["a/x"], &[]);
        check("80 x", &["a/x"], &["a/x"]);
        check("a/x$", &["a/x", "a/xy"], &["a/x"]);
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
