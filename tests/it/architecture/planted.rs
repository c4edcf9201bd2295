//! A test of the tests: an import that breaks a rule is planted at the head of a file, and found.

use std::sync::LazyLock;

use super::{broken_import_rules, product_sources};

/// What is broken without anything planted.
static BEFORE: LazyLock<Vec<String>> = LazyLock::new(|| broken_import_rules(&product_sources()));

/// `line` comes to stand at the top of `file`, below its header. What breaks by it says `reason`.
#[track_caller]
fn assert_found(file: &str, line: &str, reason: &str) {
    let mut sources = product_sources();
    let text = sources.get_mut(file).unwrap_or_else(|| panic!("there is no src/{file}"));
    let header: usize = text.split_inclusive('\n').take_while(|line| line.starts_with("//!")).map(str::len).sum();
    text.insert_str(header, &format!("\n{line}\n"));
    let found: Vec<String> =
        broken_import_rules(&sources).into_iter().filter(|fault| !BEFORE.contains(fault)).collect();
    let says_it = |fault: &&String| fault.contains(&format!("src/{file}:")) && fault.contains(reason);
    assert!(found.iter().any(|fault| says_it(&fault)), "src/{file} with {line} breaks only {found:#?}");
}

#[test]
fn the_local_side_that_knows_the_cluster() {
    assert_found("proxy/local/mod.rs", "use crate::cluster::Cluster;", "which its row forbids");
}

#[test]
fn the_local_side_that_knows_a_transport() {
    assert_found("proxy/local/mod.rs", "use crate::proxy::upstream::port_forward;", "both on floor 3");
}

#[test]
fn a_cluster_that_knows_the_run() {
    assert_found("cluster/mod.rs", "use crate::app::run;", "of src/app/run.rs, floor 4 from floor 2: upward");
}

#[test]
fn a_cluster_that_knows_the_terminal() {
    assert_found("cluster/mod.rs", "use crate::terminal::output::{self, Output as Screen};", "both on floor 2");
}

#[test]
fn a_service_that_knows_the_cluster() {
    assert_found("service/mod.rs", "use crate::{cluster::*, error::Error};", "floor 2 from floor 1: upward");
}

#[test]
fn a_message_that_knows_services() {
    assert_found("message/mod.rs", "use super::service::Target;", "both on floor 1");
}

#[test]
fn a_terminal_that_knows_the_proxy() {
    assert_found("terminal/output.rs", "use super::super::proxy;", "floor 3 from floor 2: upward");
}

#[test]
fn a_runtime_in_a_pure_file() {
    assert_found(
        "proxy/local/guard/admit.rs",
        "use tokio::time::sleep;",
        "promises to be pure and names tokio::time::sleep",
    );
}

#[test]
fn kube_in_the_proxy() {
    assert_found("proxy/mod.rs", "use k8s_openapi as k8s;", "only `cluster` knows kube");
}
