//! Whatever is typed for SERVICE: what is understood of it makes a proxy path that cannot be another one, and is
//! understood the same way again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use svcproxy::service::{ServiceId, ServiceSpelling, Target, is_dns_label, site_label};

fuzz_target!(|text: &str| {
    let Ok(spelling) = ServiceSpelling::parse(text) else { return };
    let ServiceSpelling { id, namespace, path, server: _, site: _ } = spelling.clone();
    assert!(is_dns_label(id.name()), "{id}");
    assert_eq!(id.to_string().parse::<ServiceId>().as_ref(), Ok(&id));
    assert!(namespace.as_deref().is_none_or(is_dns_label), "{namespace:?}");
    assert!(path.as_deref().is_none_or(|path| path.starts_with('/')), "{path:?}");

    let namespace = namespace.unwrap_or_else(|| "ns".to_owned());
    let target = Target::unread(&namespace, id, path);
    let proxy_path = target.proxy_path();
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-:/".contains(&byte);
    assert!(proxy_path.bytes().all(allowed) && !proxy_path.contains("//"), "{proxy_path}");
    assert_eq!(proxy_path.split('/').count(), 9, "{proxy_path}");

    let again = ServiceSpelling::parse(&proxy_path).expect("a computed proxy path is a spelling");
    assert_eq!((Some(namespace), &again.id), (again.namespace, &target.id));
    let label = site_label("https://api.example", &proxy_path, target.service(), &target.namespace);
    assert!(is_dns_label(&label), "{label}");
});
