//! Rows of which each is one of several users with one of several flags, or one proxy variable with one exception.

use crate::row::{Row, row};

/// Who the kubeconfig says the user is.
const USERS: [&str; 7] = [
    "user {}",
    "user {token: secret}",
    "user {tokenFile: token}",
    "user {username: u, password: p}",
    "user {client-certificate-data: {ALICE}, client-key-data: {ALICEKEY}}",
    "user {client-certificate: alice.crt, client-key: alice.key, token: secret}",
    "user {{EXEC}}",
];

/// What may be typed about the user.
const FLAGS: [&str; 8] = [
    "flags --token typed",
    "flags --username other --password typed",
    "flags --client-certificate bob.crt --client-key bob.key",
    "flags --as jane --as-group a --as-group b",
    "flags --as=jane --as-uid=7 --as-user-extra=k=v",
    "flags --user=u --token=''",
    "flags -n there --cluster=c",
    "flags --namespace= --context=''",
];

/// Which variables name proxies.
const PROXIES: [&str; 6] = [
    "env HTTPS_PROXY=http://{A}",
    "env https_proxy=http://{A}",
    "env HTTPS_PROXY=http://{A} https_proxy=http://{B}",
    "env HTTP_PROXY=http://{A}",
    "env ALL_PROXY=http://{A}",
    "env HTTPS_PROXY={A}",
];

/// What is exempt from them; the server is `api.example`, port 6443.
const EXEMPT: [&str; 8] = [
    "NO_PROXY=api.example",
    "no_proxy=api.example",
    "NO_PROXY=.example",
    "NO_PROXY=*.example",
    "NO_PROXY=example",
    "NO_PROXY=api.example:6443",
    "NO_PROXY=api.example:443",
    "NO_PROXY=other.example no_proxy=api.example",
];

/// Every combination.
pub(crate) fn rows() -> Vec<Row> {
    let server = "cluster {server: 'https://api.example:6443', {TRUSTED}}";
    let identities = USERS.iter().flat_map(|user| FLAGS.map(|flags| marked(user, flags)));
    let proxied = PROXIES.iter().flat_map(|proxy| EXEMPT.map(|exempt| format!("{server} | {proxy} {exempt}")));
    let lines = identities.chain(proxied);
    lines.map(|line| row("combined", &line)).collect()
}

/// With the difference that it is known for.
fn marked(user: &str, flags: &str) -> String {
    let (token, password) = (flags.contains("--token typed"), flags.contains("--password"));
    let difference = if user.contains("token") && password || user.contains("password") && token {
        " | differs two-ways-to-log-in"
    } else if user == "user {}" && !token && !password && !flags.contains("--client-certificate") {
        " | differs anonymous"
    } else {
        ""
    };
    format!("{user} | {flags}{difference}")
}
