//! PEM that a kubeconfig holds in base64 or in a file.

use std::path::PathBuf;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::error::{Error, system_words};

/// Go's `base64.StdEncoding`, which is not strict about bits behind the end either.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

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
                // Go skips line ends wherever they are, as the lines of a YAML block have them.
                let decoded = BASE64.decode(data.trim().replace(['\r', '\n'], ""));
                decoded.map(Some).map_err(|_| Error::usage(format!("the {what} is not base64")))
            }
            Self::File(path) => std::fs::read(path).map(Some).map_err(|error| {
                Error::failed(format!("cannot read the {what}, {}: {}", path.display(), system_words(&error)))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_go_reads_it() {
        let check = |data: &str, expect: Option<&[u8]>| {
            let read = PemSource::new(Some(data), None).read("certificate");
            assert_eq!(read.ok().flatten().as_deref(), expect, "{data:?}");
        };
        check("YWI=", Some(b"ab"));
        check("YW\nI=\n", Some(b"ab"));
        check("YW\r\nI\r=\r\n", Some(b"ab"));
        check(" YWI=", Some(b"ab"));
        check("YWJ=", Some(b"ab"));
        check("YWI", None);
        check("YW I=", None);
        check("YW\tI=", None);
        check("YWI=YWI=", None);
        check("ab-_", None);
        check("!", None);
    }
}
