//! Lists of objects, read in pages so that memory does not grow with the cluster.

use std::fmt;

use futures_util::Stream;
use futures_util::stream::try_unfold;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio_util::task::AbortOnDropHandle;

use super::Cluster;
use super::api_error::ApiError;
use super::calls::{Content, TOO_SHORT, malformed};
use super::list_reader::{ListReader, Malformed, PageMetadata};
use super::rights::Rule;

/// Objects on the first page: what kubectl asks for (`--chunk-size`), and soon there.
const FIRST_PAGE: usize = 500;
/// Objects on further ones. Whatever their size, each costs an API server a walk over the whole list.
const FURTHER_PAGES: usize = 5_000;
/// Objects that are handed on at once.
const PORTION: usize = 250;

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// In one namespace.
    Namespace(String),
    /// In all namespaces.
    All,
}

impl Scope {
    /// The namespace, if it is one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Namespace(namespace) => Some(namespace),
            Self::All => None,
        }
    }
}

/// What to list.
#[derive(Debug, Clone)]
pub(crate) struct List {
    path: String,
    rule: Rule,
    /// Further parameters, each with `&` in front.
    selectors: String,
}

impl List {
    /// `resource` of the API `group` (its path, such as `/api/v1`) in `scope`.
    pub(crate) fn new(group: &str, resource: &str, scope: Scope) -> Self {
        let namespace = match scope {
            Scope::Namespace(namespace) => Some(namespace),
            Scope::All => None,
        };
        let path = match &namespace {
            Some(namespace) => format!("{group}/namespaces/{}/{resource}", encoded(namespace)),
            None => format!("{group}/{resource}"),
        };
        let group = group.strip_prefix("/apis/").and_then(|group| group.split('/').next()).unwrap_or_default();
        let rule = Rule { namespace, ..Rule::new("list", resource, None).group(group) };
        Self { path, rule, selectors: String::new() }
    }

    /// Only those with such labels.
    pub(crate) fn labelled(mut self, selector: Option<&str>) -> Self {
        if let Some(selector) = selector {
            self.selectors += &format!("&labelSelector={}", encoded(selector));
        }
        self
    }

    /// Only the one called `name`. A right to this object alone suffices.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.selectors += &format!("&fieldSelector=metadata.name%3D{}", encoded(name));
        self.rule = self.rule.named(Some(name));
        self
    }

    /// The right that it takes.
    pub(crate) fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The target of the request, with `parameters` in front of the selectors.
    pub(crate) fn target(&self, parameters: &str) -> String {
        format!("{}?{parameters}{}", self.path, self.selectors)
    }
}

impl Cluster {
    /// The objects of `list` in portions of about 250, in the API server's order.
    ///
    /// When the API server has forgotten the state that the first page shows, the rest comes from a newer one: there may be
    /// gaps, as with kubectl, but nothing comes twice.
    pub(crate) fn portions<T, U>(&self, list: List) -> impl Stream<Item = Result<Vec<U>, ApiError>> + Send + 'static
    where
        T: DeserializeOwned + Send,
        U: From<T> + Send + 'static,
    {
        let reading = Reading { cluster: self.clone(), list, page: None, next: Next::First };
        try_unfold(reading, |mut reading| async move {
            let portion = reading.portion::<T>().await?;
            Ok(portion.map(|objects| (objects.into_iter().map(U::from).collect(), reading)))
        })
    }

    async fn page(&self, list: &List, token: &str) -> Result<Content, ApiError> {
        match self.begin_to_read(&self.target(list, token), list.rule()).await {
            Err(ApiError::Expired { next: Some(next) }) if !token.is_empty() => {
                self.begin_to_read(&self.target(list, &next), list.rule()).await
            }
            result => result,
        }
    }

    fn target(&self, list: &List, token: &str) -> String {
        match token {
            "" => list.target(&format!("limit={FIRST_PAGE}")),
            token => {
                let limit = if self.disable_compression() { FIRST_PAGE } else { FURTHER_PAGES };
                list.target(&format!("limit={limit}&continue={}", encoded(token)))
            }
        }
    }
}

/// A list on its way. While one page is read the API server begins with the next one.
struct Reading {
    cluster: Cluster,
    list: List,
    page: Option<(Content, ListReader)>,
    next: Next,
}

/// The page after the one that is being read.
enum Next {
    First,
    /// Not known yet, or there is none.
    None,
    Asked(AbortOnDropHandle<Result<Content, ApiError>>),
}

impl Reading {
    /// The next objects, at most a page of them; `None` after the last.
    async fn portion<T: DeserializeOwned>(&mut self) -> Result<Option<Vec<T>>, ApiError> {
        if self.page.is_none() {
            let Some(page) = self.next_page().await? else { return Ok(None) };
            self.page = Some((page, ListReader::default()));
        }
        self.objects().await.map(Some)
    }

    async fn next_page(&mut self) -> Result<Option<Content>, ApiError> {
        match std::mem::replace(&mut self.next, Next::None) {
            Next::First => self.cluster.page(&self.list, "").await.map(Some),
            Next::None => Ok(None),
            Next::Asked(page) => page.await.expect("asking for a page does not panic, and is not cancelled").map(Some),
        }
    }

    async fn objects<T: DeserializeOwned>(&mut self) -> Result<Vec<T>, ApiError> {
        let mut objects = Vec::new();
        let Some((mut content, mut reader)) = self.page.take() else { return Ok(objects) };
        while let Some(piece) = content.next().await? {
            reader.read(&piece, &mut objects).map_err(|problem| self.malformed(problem))?;
            self.ask_for_what_follows(reader.metadata());
            if objects.len() >= PORTION {
                self.page = Some((content, reader));
                return Ok(objects);
            }
        }
        reader.finish().map_err(|problem| self.malformed(problem))?;
        Ok(objects)
    }

    fn ask_for_what_follows(&mut self, metadata: Option<&PageMetadata>) {
        let Some(token) = metadata.map(|metadata| metadata.next.clone()).filter(|token| !token.is_empty()) else {
            return;
        };
        if matches!(self.next, Next::None) {
            let (cluster, list) = (self.cluster.clone(), self.list.clone());
            let page = tokio::spawn(async move { cluster.page(&list, &token).await });
            self.next = Next::Asked(AbortOnDropHandle::new(page));
        }
    }

    fn malformed(&self, problem: Malformed) -> ApiError {
        let cause = match problem {
            Malformed::TooShort => TOO_SHORT.to_owned(),
            Malformed::After(count) => format!("unexpected content after {count} bytes"),
        };
        malformed(&self.list.path, cause)
    }
}

/// A path segment or the value of a parameter.
pub(crate) fn encoded(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, &ENCODED)
}

/// Everything but RFC 3986's unreserved characters.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
