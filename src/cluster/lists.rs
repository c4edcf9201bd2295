//! Lists of objects, read in pages so that memory does not grow with the cluster.

use std::fmt;

use futures_util::Stream;
use futures_util::stream::try_unfold;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::Cluster;
use super::api_error::ApiError;
use super::rights::Rule;

/// Objects per page: what kubectl asks for (`--chunk-size`).
const PAGE: usize = 500;

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

    fn page(&self, token: &str) -> String {
        match token {
            "" => self.target(&format!("limit={PAGE}")),
            token => self.target(&format!("limit={PAGE}&continue={}", encoded(token))),
        }
    }
}

/// A page as it comes.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(crate) struct Page<T> {
    pub(crate) metadata: PageMetadata,
    items: Option<Vec<T>>,
}

impl<T> Page<T> {
    /// What is on it.
    pub(crate) fn items<U: From<T>>(self) -> Vec<U> {
        self.items.unwrap_or_default().into_iter().map(U::from).collect()
    }
}

/// What a page says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageMetadata {
    /// Where the next page begins; empty on the last one.
    #[serde(rename = "continue", default)]
    next: String,
    /// The state of the cluster that it shows.
    #[serde(default)]
    pub(crate) resource_version: String,
}

impl Cluster {
    /// The objects of `list` in pages of 500, in the API server's order.
    ///
    /// When the API server has forgotten the state that the first page shows, the rest comes from a newer one: there may be
    /// gaps, as with kubectl, but nothing comes twice.
    pub(crate) fn pages<T, U>(&self, list: List) -> impl Stream<Item = Result<Vec<U>, ApiError>> + Send + 'static
    where
        T: for<'de> Deserialize<'de> + Send,
        U: From<T> + Send + 'static,
    {
        let cluster = self.clone();
        try_unfold(Some(String::new()), move |token| {
            let (cluster, list) = (cluster.clone(), list.clone());
            async move {
                let Some(token) = token else { return Ok(None) };
                let page: Page<T> = cluster.page(&list, token).await?;
                let next = Some(page.metadata.next.clone()).filter(|next| !next.is_empty());
                Ok(Some((page.items(), next)))
            }
        })
    }

    async fn page<T: for<'de> Deserialize<'de>>(&self, list: &List, token: String) -> Result<Page<T>, ApiError> {
        match self.read(&list.page(&token), list.rule()).await {
            Err(ApiError::Expired { next: Some(next) }) if !token.is_empty() => {
                self.read(&list.page(&next), list.rule()).await
            }
            result => result,
        }
    }
}

/// A path segment or the value of a parameter.
pub(crate) fn encoded(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, &ENCODED)
}

/// Everything but RFC 3986's unreserved characters.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
