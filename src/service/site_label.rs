//! The name of a Service's own local origin.

use sha2::{Digest, Sha256};

/// Octets of a DNS label (RFC 1035 section 2.3.4).
const LABEL_LIMIT: usize = 63;
/// Characters of the hash in a label: 65 bits. Whoever may name Services could find one that has the hash of another's by
/// trying, and would get its cookies and stored data.
const HASH_LENGTH: usize = 13;
/// The same in the labels of older versions, in bookmarks: 30 bits are found in minutes, so nothing is served under them.
const OLD_HASH_LENGTH: usize = 6;

/// `SERVICE--NAMESPACE--HASH`: one DNS label, so that every Service is a site of its own to a browser's cookie rules.
///
/// The hash is over the API server's URL and the canonical proxy path, so two clusters, ports or schemes never share an origin, and every spelling of one port leads to the same.
/// The readable part is cut to what the label allows.
pub fn site_label(server: &str, proxy_path: &str, service: &str, namespace: &str) -> String {
    let mut readable = format!("{service}--{namespace}");
    readable.truncate(LABEL_LIMIT - HASH_LENGTH - 2);
    let digest = Sha256::new().chain_update(server).chain_update([0]).chain_update(proxy_path).finalize();
    let mut hash = data_encoding::BASE32_NOPAD.encode(&digest).to_ascii_lowercase();
    hash.truncate(HASH_LENGTH);
    format!("{}--{hash}", readable.trim_end_matches('-'))
}

/// Whether `label` may be the label of a site, of whatever cluster.
pub fn is_site_label(label: &str) -> bool {
    let is_hash =
        |hash: &str| is_hash_length(hash) && hash.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
    let is_whole =
        || names_in_label(label).is_some_and(|(service, namespace)| !service.is_empty() && !namespace.is_empty());
    // What was cut may have lost a hyphen at its end, and its namespace.
    let is_cut = |readable: &str, hash: &str| readable.len() + 1 >= LABEL_LIMIT - hash.len() - 2;
    label.rsplit_once("--").is_some_and(|(readable, hash)| is_hash(hash) && (is_whole() || is_cut(readable, hash)))
}

fn is_hash_length(hash: &str) -> bool {
    matches!(hash.len(), HASH_LENGTH | OLD_HASH_LENGTH)
}

/// Whether `label`, which is a site's, is one of older versions, under which nothing is served any more.
pub fn is_old_label(label: &str) -> bool {
    label.rsplit_once("--").is_some_and(|(_, hash)| hash.len() == OLD_HASH_LENGTH)
}

/// Whether the site of `typed`, perhaps with the shorter hash of older versions, is that of `label`.
pub(crate) fn is_label_of(label: &str, typed: &str) -> bool {
    typed == label
        || (is_old_label(typed)
            && label.starts_with(typed)
            && label.len() == typed.len() + HASH_LENGTH - OLD_HASH_LENGTH)
}

/// Service and namespace in a label, where both stand in it whole.
pub(crate) fn names_in_label(label: &str) -> Option<(&str, &str)> {
    let (readable, hash) = label.rsplit_once("--")?;
    let is_whole = is_hash_length(hash) && readable.len() < LABEL_LIMIT - hash.len() - 2;
    readable.rsplit_once("--").filter(|_| is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::is_dns_label;

    const PATH: &str = "/api/v1/namespaces/default/services/nginx/proxy/";

    #[test]
    fn says_service_and_namespace() {
        let label = site_label("https://a:6443", PATH, "nginx", "default");
        assert!(label.starts_with("nginx--default--") && label.len() == "nginx--default--".len() + 13, "{label}");
    }

    /// A name that stays the same keeps bookmarks, cookies and what apps have stored.
    #[test]
    fn stays_as_it_is() {
        assert_eq!(site_label("https://a:6443", PATH, "nginx", "default"), "nginx--default--632htniargjxq");
    }

    #[test]
    fn labels_of_older_versions_are_known_and_are_not_the_same() {
        let label = site_label("https://a:6443", PATH, "nginx", "default");
        let old = &label[..label.len() - 7];
        assert!(is_site_label(old) && is_old_label(old) && !is_old_label(&label));
        assert_eq!(names_in_label(old), Some(("nginx", "default")));
        assert!(is_label_of(&label, old) && is_label_of(&label, &label));
        for other in [&label[..label.len() - 1], "nginx--default--abc234", "nginx--default", &format!("{label}a")] {
            assert!(!is_label_of(&label, other), "{other}");
        }
    }

    #[test]
    fn differs_by_cluster_port_and_scheme() {
        let path = |id: &str| format!("/api/v1/namespaces/default/services/{id}/proxy/");
        let labels = [
            site_label("https://a:6443", &path("nginx"), "nginx", "default"),
            site_label("https://b:6443", &path("nginx"), "nginx", "default"),
            site_label("https://a:6443", &path("nginx:81"), "nginx", "default"),
            site_label("https://a:6443", &path("https:nginx:"), "nginx", "default"),
        ];
        let distinct: std::collections::BTreeSet<_> = labels.iter().collect();
        assert_eq!(distinct.len(), labels.len(), "{labels:?}");
    }

    #[test]
    fn gives_its_names_back() {
        for (service, namespace) in [("nginx", "default"), ("a--b", "c"), ("a", "kube-system")] {
            let label = site_label("https://a", PATH, service, namespace);
            assert_eq!(names_in_label(&label), Some((service, namespace)), "{label}");
        }
        let cut = site_label("https://a", PATH, &"a".repeat(40), &"b".repeat(40));
        for label in [&cut, "web", "web--default", "web--abc234"] {
            assert_eq!(names_in_label(label), None, "{label}");
        }
    }

    #[test]
    fn is_known_as_a_label_of_a_site() {
        for length in [1, 27, 28, 40, 63] {
            let label = site_label("https://a", PATH, &"a".repeat(length), &"b".repeat(length));
            assert!(is_site_label(&label), "{label}");
        }
        for label in
            ["dev", "my--app", "a--b--c", "----abc234", "web--ns--abc-34", "web--ns--abcdef0", "web--ns--ABC234", ""]
        {
            assert!(!is_site_label(label), "{label}");
        }
    }

    #[test]
    fn is_a_label_however_long_the_names() {
        for length in [1, 40, 52, 53, 54, 55, 63] {
            let name = "a".repeat(length);
            let label = site_label("https://a", PATH, &name, &name);
            assert!(is_dns_label(&label), "{label}");
        }
    }
}
