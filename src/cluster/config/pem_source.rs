//! PEM that a kubeconfig holds in base64 or in a file.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, system_words};

/// Where PEM comes from. Data beats a file, as for kubectl.
#[derive(Default)]
pub(crate) enum PemSource {
    /// Nowhere.
    #[default]
    Nothing,
    /// Base64 in the kubeconfig.
    Data(String),
    /// A file.
    File(PathBuf),
}

impl PemSource {
    pub(crate) fn new(data: Option<&str>, file: Option<&str>) -> Self {
        let set = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        match (set(data), set(file)) {
            (Some(data), _) => Self::Data(data),
            (None, Some(file)) => Self::File(file.into()),
            (None, None) => Self::Nothing,
        }
    }

    /// Reads it. `what` names it in errors.
    pub(crate) fn read(&self, what: &str) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Nothing => Ok(None),
            Self::Data(data) => {
                let decoded = STANDARD.decode(data.trim());
                decoded.map(Some).map_err(|_| Error::usage(format!("the {what} is not base64")))
            }
            Self::File(path) => std::fs::read(path).map(Some).map_err(|error| {
                Error::failed(format!("cannot read the {what}, {}: {}", path.display(), system_words(&error)))
            }),
        }
    }
}
