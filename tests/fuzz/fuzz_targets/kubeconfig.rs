//! Whatever a kubeconfig says: it is read, or there is one error to show, and nobody's program is run for it. Half of the
//! inputs are whole files; the others are put in the place of one value of a file that is otherwise in order.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use svcproxy::cluster::{Cluster, ConnectFlags, ProcessEnvironment};
use tokio::runtime::{Builder, Runtime};

const FIELDS: [&str; 16] = [
    "namespace",
    "server",
    "certificate-authority-data",
    "tls-server-name",
    "proxy-url",
    "insecure-skip-tls-verify",
    "token",
    "tokenFile",
    "client-certificate-data",
    "client-key-data",
    "username",
    "exec",
    "auth-provider",
    "as",
    "as-groups",
    "as-user-extra",
];
const LONGEST_MESSAGE: usize = 64 * 1024;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("svcproxy-fuzz-kubeconfig-{}", std::process::id())));

fuzz_target!(|data: &[u8]| {
    let Some((&first, rest)) = data.split_first() else { return };
    let text =
        if first & 1 == 0 { rest.to_vec() } else { with_one_value(usize::from(first >> 1) % FIELDS.len(), rest) };
    fs::write(&*FILE, text).unwrap();
    let flags = ConnectFlags { kubeconfig: Some(FILE.clone()), ..ConnectFlags::default() };
    let loaded = RUNTIME.block_on(Cluster::load(&flags, &ProcessEnvironment::default()));
    match loaded {
        Ok(cluster) => assert!(cluster.server().starts_with("http")),
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty() && message.len() < LONGEST_MESSAGE, "{message}");
        }
    }
});

/// A kubeconfig in which `value` is that of the field with this index.
fn with_one_value(field: usize, value: &[u8]) -> Vec<u8> {
    let value = String::from_utf8_lossy(value);
    let mut parts = [String::new(), String::new(), String::new()];
    let part = match field {
        0 => 0,
        1..=5 => 1,
        _ => 2,
    };
    parts[part] = format!("    {}: {value}\n", FIELDS[field]);
    let server = if field == 1 { "" } else { "    server: https://127.0.0.1:6443\n" };
    let [context, cluster, user] = parts;
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context:\n    cluster: k\n    user: u\n\
         {context}clusters:\n- name: k\n  cluster:\n{server}{cluster}users:\n- name: u\n  user:\n{user}"
    )
    .into_bytes()
}
