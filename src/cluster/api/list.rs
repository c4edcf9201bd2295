//! Lists of objects, read in portions so that memory does not grow with the cluster.

use std::fmt;

use futures_util::Stream;
use futures_util::stream::try_unfold;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::api_error::ApiError;
use super::call::{AnswerContent, JSON, PROTOBUF_OR_JSON, malformed};
use super::list_json::{JsonListReader, ListMetadata, MalformedList};
use super::list_protobuf::ProtobufListReader;
use super::rule::AccessRule;
use crate::cluster::Cluster;

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

    /// Whether `namespace` belongs to it.
    pub fn covers(&self, namespace: &str) -> bool {
        self.namespace().is_none_or(|only| only == namespace)
    }
}

/// What to list.
#[derive(Debug, Clone)]
pub(crate) struct ListRequest {
    path: String,
    /// The right that it takes.
    pub(super) rule: AccessRule,
    /// Further parameters, each with `&` in front.
    selectors: String,
}

impl ListRequest {
    /// `resource` of the API `group` (its path, such as `/api/v1`) in `namespace`, or in all of them.
    pub(crate) fn new(group: &str, resource: &str, namespace: Option<&str>) -> Self {
        let path = match namespace {
            Some(namespace) => format!("{group}/namespaces/{}/{resource}", encoded(namespace)),
            None => format!("{group}/{resource}"),
        };
        let group = group.strip_prefix("/apis/").and_then(|group| group.split('/').next()).unwrap_or_default();
        Self { path, rule: AccessRule::new("list", resource, namespace).group(group), selectors: String::new() }
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

    /// The target of the request, with `parameters` in front of the selectors.
    pub(crate) fn target(&self, parameters: &str) -> String {
        format!("{}?{parameters}{}", self.path, self.selectors)
    }

    /// The target of the request for all of it, from `token` on.
    fn from(&self, token: &str) -> String {
        match (token, self.selectors.strip_prefix('&')) {
            ("", None) => self.path.clone(),
            ("", Some(selectors)) => format!("{}?{selectors}", self.path),
            (token, _) => self.target(&format!("continue={}", encoded(token))),
        }
    }
}

/// Reads an object of a list; `None` when it is something else.
pub(super) type FromProtobuf<T> = fn(&[u8]) -> Option<T>;

/// How an object of a list is read in either form.
pub(crate) trait ListedObject: Sized + Send + 'static {
    /// What of it is looked at.
    type Wire: DeserializeOwned + Into<Self> + Send;

    /// Reads its protobuf, where that is worth having.
    const FROM_PROTOBUF: Option<FromProtobuf<Self>> = None;
}

impl Cluster {
    /// The objects of `list` in portions of about 250, in the API server's order.
    ///
    /// The list is asked for as a whole: in pages it takes an API server up to twice the work (1.36, 50,000 objects), and
    /// read piece by piece it takes no more memory here.
    pub(crate) fn portions<T: ListedObject>(
        &self,
        list: ListRequest,
    ) -> impl Stream<Item = Result<Vec<T>, ApiError>> + Send + 'static {
        let reading = ListReading { cluster: self.clone(), list, place: ReadingPosition::From(String::new()) };
        try_unfold(reading, |mut reading| async move {
            let portion = reading.portion::<T>().await?;
            Ok(portion.map(|objects| (objects, reading)))
        })
    }
}

/// A list on its way.
struct ListReading {
    cluster: Cluster,
    list: ListRequest,
    place: ReadingPosition,
}

enum ReadingPosition {
    /// Where the API server says that there is more; the empty text means the beginning.
    From(String),
    Within(Box<AnswerContent>, EncodedListReader),
    /// What came before has been handed on.
    Failed(ApiError),
    End,
}

impl ListReading {
    /// The next objects; `None` after the last.
    async fn portion<T: ListedObject>(&mut self) -> Result<Option<Vec<T>>, ApiError> {
        let (content, reader) = match std::mem::replace(&mut self.place, ReadingPosition::End) {
            ReadingPosition::From(token) => begin::<T>(&self.cluster, &self.list, &token).await?,
            ReadingPosition::Within(content, reader) => (content, reader),
            ReadingPosition::Failed(error) => return Err(error),
            ReadingPosition::End => return Ok(None),
        };
        let mut objects = Vec::new();
        match read(&self.list.path, content, reader, &mut objects).await {
            Ok(place) => self.place = place,
            Err(error) if objects.is_empty() => return Err(error),
            Err(error) => self.place = ReadingPosition::Failed(error),
        }
        Ok(Some(objects))
    }
}

/// Adds a portion of the list at `path` to `objects`, or what is left of it, and gives the place after that.
async fn read<T: ListedObject>(
    path: &str,
    mut content: Box<AnswerContent>,
    mut reader: EncodedListReader,
    objects: &mut Vec<T>,
) -> Result<ReadingPosition, ApiError> {
    while let Some(piece) = content.next().await? {
        reader.read(&piece, objects).map_err(|problem| malformed(path, &problem))?;
        if objects.len() >= PORTION {
            return Ok(ReadingPosition::Within(content, reader));
        }
    }
    let metadata = reader.finish().map_err(|problem| malformed(path, &problem))?;
    Ok(if metadata.next.is_empty() { ReadingPosition::End } else { ReadingPosition::From(metadata.next) })
}

async fn begin<T: ListedObject>(
    cluster: &Cluster,
    list: &ListRequest,
    token: &str,
) -> Result<(Box<AnswerContent>, EncodedListReader), ApiError> {
    let accepted = if T::FROM_PROTOBUF.is_some() { PROTOBUF_OR_JSON } else { JSON };
    let content = cluster.begin_to_read(&list.from(token), &list.rule, accepted).await?;
    let reader = EncodedListReader::new(content.is_protobuf);
    Ok((Box::new(content.read_ahead()), reader))
}

/// Reads a whole list that comes in `pieces`, and gives its objects.
///
/// # Errors
/// Why it is no list.
pub(super) fn read_whole<'a, T: ListedObject>(
    pieces: impl Iterator<Item = &'a [u8]>,
    is_protobuf: bool,
) -> Result<Vec<T>, String> {
    let mut reader = EncodedListReader::new(is_protobuf);
    let mut objects = Vec::new();
    for piece in pieces {
        reader.read(piece, &mut objects).map_err(|problem| problem.to_string())?;
    }
    reader.finish().map_err(|problem| problem.to_string())?;
    Ok(objects)
}

/// A list in one of its forms.
enum EncodedListReader {
    Json(JsonListReader),
    Protobuf(ProtobufListReader),
}

impl EncodedListReader {
    fn new(is_protobuf: bool) -> Self {
        match is_protobuf {
            true => Self::Protobuf(ProtobufListReader::default()),
            false => Self::Json(JsonListReader::default()),
        }
    }

    fn read<T: ListedObject>(&mut self, piece: &[u8], objects: &mut Vec<T>) -> Result<(), MalformedList> {
        match self {
            Self::Json(reader) => {
                let mut items: Vec<T::Wire> = Vec::new();
                reader.read(piece, &mut items)?;
                objects.extend(items.into_iter().map(Into::into));
                Ok(())
            }
            Self::Protobuf(reader) => reader.read(piece, |item| {
                T::FROM_PROTOBUF.and_then(|read| read(item)).map(|object| objects.push(object)).is_some()
            }),
        }
    }

    fn finish(self) -> Result<ListMetadata, MalformedList> {
        match self {
            Self::Json(reader) => reader.finish(),
            Self::Protobuf(reader) => reader.finish(),
        }
    }
}

/// A path segment or the value of a parameter.
pub(crate) fn encoded(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, &ENCODED)
}

/// Everything but RFC 3986's unreserved characters.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
