//! Knots: things of which each one leads to each other one.

/// The knots of a graph, given what each node leads to: the strongly connected sets of two and more, largest first.
pub(crate) fn knots(leads_to: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut search = KnotSearch { leads_to, order: vec![None; leads_to.len()], ..KnotSearch::default() };
    for node in 0..leads_to.len() {
        if search.order[node].is_none() {
            search.visit(node);
        }
    }
    search.knots.sort_by_key(|knot| std::cmp::Reverse(knot.len()));
    search.knots
}

/// Tarjan's search.
#[derive(Default)]
struct KnotSearch<'a> {
    leads_to: &'a [Vec<usize>],
    /// When each node was first seen; `usize::MAX` once its knot is closed.
    order: Vec<Option<usize>>,
    seen: usize,
    open: Vec<usize>,
    knots: Vec<Vec<usize>>,
}

impl KnotSearch<'_> {
    /// The earliest node that can be reached from `node`.
    fn visit(&mut self, node: usize) -> usize {
        let own = self.seen;
        self.order[node] = Some(own);
        self.seen += 1;
        self.open.push(node);
        let mut earliest = own;
        for next in &self.leads_to[node] {
            let reached = self.order[*next].unwrap_or_else(|| self.visit(*next));
            earliest = earliest.min(reached);
        }
        if earliest == own {
            self.close(node);
        }
        earliest
    }

    fn close(&mut self, first: usize) {
        let start = self.open.iter().rposition(|node| *node == first).unwrap_or_default();
        let mut knot = self.open.split_off(start);
        knot.iter().for_each(|node| self.order[*node] = Some(usize::MAX));
        if knot.len() > 1 {
            knot.sort_unstable();
            self.knots.push(knot);
        }
    }
}
