//! How many endpoints of a Service are ready.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use futures_util::pin_mut;
use futures_util::stream::{BoxStream, StreamExt};

use super::api_error::ApiError;
use super::endpoint_slices::{EndpointSlice, slices_in};
use super::list::Scope;
use crate::cluster::Cluster;
use crate::service::Readiness;

impl Cluster {
    /// How many endpoints of one Service are ready.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn service_readiness(&self, namespace: &str, service: &str) -> Result<Readiness, ApiError> {
        let mut tally = ReadinessTally::default();
        for slice in self.endpoints(namespace, service).await? {
            tally.add(&slice);
        }
        Ok(tally.table().get(namespace, service))
    }

    /// How many endpoints of every Service in `scope` are ready.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn readiness(&self, scope: &Scope) -> Result<ReadinessTable, ApiError> {
        let mut tally = ReadinessTally::default();
        let pages = self.portions::<EndpointSlice>(slices_in(scope));
        pin_mut!(pages);
        while let Some(page) = pages.next().await {
            page?.iter().for_each(|slice| tally.add(slice));
        }
        Ok(tally.table())
    }

    /// How many endpoints of every Service in `scope` are ready, for one who goes through Services in the API server's
    /// order.
    pub fn readiness_in_order(&self, scope: &Scope) -> ReadinessInOrder {
        ReadinessInOrder {
            slices: self.portions::<EndpointSlice>(slices_in(scope)).boxed(),
            ahead: VecDeque::new(),
            newest: String::new(),
            namespace: None,
            table: ReadinessTally::default().table(),
            is_in_order: true,
        }
    }
}

/// Slices are counted here as they come.
#[derive(Debug, Default)]
struct ReadinessTally {
    hasher: RandomState,
    families: [Vec<ReadinessRow>; 3],
}

/// Readiness by Service: 50,000 of them in 0.6 MiB, since names are kept as 64-bit keyed hashes only. That two of 50,000
/// Services share one is a matter of 1 in 10,000,000,000.
#[derive(Debug)]
pub struct ReadinessTable {
    hasher: RandomState,
    /// Sorted by key, each key once. A dual-stack Service has each Pod in two slices, once per family, so families are
    /// counted apart.
    families: [Vec<ReadinessRow>; 3],
}

/// What is known of one Service. More endpoints than can be counted here are as good as infinitely many.
#[derive(Debug, Clone, Copy)]
struct ReadinessRow {
    /// A hash in two halves, which need not be aligned like a whole.
    key: [u32; 2],
    ready: u16,
    total: u16,
}

impl ReadinessTally {
    fn add(&mut self, slice: &EndpointSlice) {
        let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        self.families[slice.addresses as usize].push(ReadinessRow {
            key: key(&self.hasher, &slice.namespace, &slice.service),
            ready: count(slice.endpoints.iter().filter(|endpoint| endpoint.ready).count()),
            total: count(slice.endpoints.len()),
        });
    }

    fn table(self) -> ReadinessTable {
        let Self { hasher, mut families } = self;
        for rows in &mut families {
            rows.sort_unstable_by_key(|row| row.key);
            rows.dedup_by(|next, kept| {
                let is_same = next.key == kept.key;
                if is_same {
                    kept.take_in(*next);
                }
                is_same
            });
        }
        ReadinessTable { hasher, families }
    }
}

impl ReadinessRow {
    /// Adds another slice of the same Service.
    fn take_in(&mut self, other: Self) {
        self.ready = self.ready.saturating_add(other.ready);
        self.total = self.total.saturating_add(other.total);
    }
}

impl ReadinessTable {
    /// What is known of a Service; nothing known is nothing there.
    pub fn get(&self, namespace: &str, service: &str) -> Readiness {
        let key = key(&self.hasher, namespace, service);
        let row = |rows: &Vec<ReadinessRow>| rows.binary_search_by_key(&key, |row| row.key).ok().map(|at| rows[at]);
        let rows = self.families.iter().filter_map(row);
        rows.fold(Readiness { ready: 0, total: 0 }, |most, row| Readiness {
            ready: most.ready.max(row.ready.into()),
            total: most.total.max(row.total.into()),
        })
    }
}

fn key(hasher: &RandomState, namespace: &str, service: &str) -> [u32; 2] {
    let hash = hasher.hash_one((namespace, service));
    [(hash >> 32) as u32, hash as u32]
}

/// Readiness by Service, read from the API server no further than it is asked for: of one namespace at a time, for both
/// lists come in the order of their keys in etcd (apiserver `pkg/storage/etcd3/store.go`), which begin with the namespace.
pub struct ReadinessInOrder {
    slices: BoxStream<'static, Result<Vec<EndpointSlice>, ApiError>>,
    /// Those that were read and not yet counted or passed over.
    ahead: VecDeque<EndpointSlice>,
    /// Namespace of the slice that was taken last.
    newest: String,
    /// The namespace that was asked for last.
    namespace: Option<String>,
    /// What is known of it.
    table: ReadinessTable,
    /// Whether slices came, and namespaces were asked for, in order. What only looks like an API server may have another
    /// one.
    is_in_order: bool,
}

impl ReadinessInOrder {
    /// What is known of a Service, whose namespace must not come before one that was asked for earlier; nothing known is
    /// nothing there. `None` where something came out of order, so that slices may have been passed over.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn get(&mut self, namespace: &str, service: &str) -> Result<Option<Readiness>, ApiError> {
        if self.namespace.as_deref() != Some(namespace) {
            self.go_on_to(namespace).await?;
        }
        Ok(self.is_in_order.then(|| self.table.get(namespace, service)))
    }

    async fn go_on_to(&mut self, namespace: &str) -> Result<(), ApiError> {
        self.is_in_order &= self.namespace.as_deref().is_none_or(|before| order(before, namespace).is_lt());
        self.namespace = Some(namespace.to_owned());
        let mut tally = ReadinessTally::default();
        while let Some(slice) = self.next().await? {
            match order(&slice.namespace, namespace) {
                Ordering::Less => {}
                Ordering::Equal => tally.add(&slice),
                Ordering::Greater => {
                    self.ahead.push_front(slice);
                    break;
                }
            }
        }
        self.table = tally.table();
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<EndpointSlice>, ApiError> {
        while self.ahead.is_empty() {
            let Some(portion) = self.slices.next().await.transpose()? else { return Ok(None) };
            self.ahead = portion.into();
        }
        let slice = self.ahead.pop_front();
        if let Some(EndpointSlice { namespace, .. }) = &slice
            && *namespace != self.newest
        {
            self.is_in_order &= order(&self.newest, namespace).is_lt();
            self.newest.clone_from(namespace);
        }
        Ok(slice)
    }
}

impl fmt::Debug for ReadinessInOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadinessInOrder").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// The order of namespaces in etcd, where a `/` follows them: `a-b` is before `a`.
fn order(one: &str, other: &str) -> Ordering {
    one.bytes().chain([b'/']).cmp(other.bytes().chain([b'/']))
}
