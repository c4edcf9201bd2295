//! What the API server does to links in answers. apimachinery `pkg/util/proxy/transport.go`.

pub(crate) mod html;
pub(crate) mod url;

use url::Url;

/// The rule for the links of one answer.
pub(crate) struct Rewriting<'a> {
    /// The path that stands in front of the Service's own, without a slash at its end; decoded.
    pub(crate) prefix: &'a [u8],
    /// Address and port of the Pod that answered.
    pub backend: &'a str,
    /// The `Host` of the request.
    pub(crate) host: &'a str,
}

impl Rewriting<'_> {
    /// A link as it is passed on. The error is Go's text for what is no URL.
    pub(crate) fn link(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        let mut url = Url::parse(text)?;
        let is_own_host = [b"", self.backend.as_bytes(), self.host.as_bytes()].contains(&url.host());
        if !is_own_host || !url.path().starts_with(b"/") {
            return Ok(url.print());
        }
        if url.host() != self.host.as_bytes() {
            url.drop_scheme_and_host();
        }
        if !url.path().starts_with(self.prefix) {
            let slash: &[u8] = if url.path().ends_with(b"/") { b"/" } else { b"" };
            url.set_path([&url::join(&[self.prefix, url.path()]), slash].concat());
        }
        Ok(url.print())
    }

    /// A page as it is passed on.
    pub(crate) fn page(&self, html: &[u8]) -> Vec<u8> {
        html::rewrite(html, |link| self.link(link).ok())
    }
}
