//! Lists of Services and of EndpointSlices. Whatever comes, in pieces of any size, is the same list or none; and what an API
//! server has is the same by either encoding.
#![no_main]

mod objects;
mod protobuf;

use std::fmt::Debug;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use objects::{FuzzedService, FuzzedSlice};
use serde_json::json;
use svcproxy::cluster::{services_in_list, slices_in_list};

#[derive(Arbitrary, Debug)]
enum WhatComes<'a> {
    Octets {
        is_protobuf: bool,
        size: u8,
        octets: &'a [u8],
    },
    /// Within what makes it a list.
    Items {
        is_protobuf: bool,
        size: u8,
        octets: &'a [u8],
    },
    Services {
        size: u8,
        resource_version: &'a str,
        next: &'a str,
        items: Vec<FuzzedService<'a>>,
    },
    Slices {
        size: u8,
        resource_version: &'a str,
        next: &'a str,
        items: Vec<FuzzedSlice<'a>>,
    },
}

fuzz_target!(|what: WhatComes<'_>| {
    match what {
        WhatComes::Octets { is_protobuf, size, octets } => take(octets, size, is_protobuf),
        WhatComes::Items { is_protobuf: true, size, octets } => {
            let list = protobuf::message(2, octets);
            take(&protobuf::document("ServiceList", &list), size, true);
        }
        WhatComes::Items { is_protobuf: false, size, octets } => {
            take(
                &[b"{\"metadata\":{},\"items\":[{\"metadata\":{\"name\":\"x\"}", octets, b"}]}"].concat(),
                size,
                false,
            );
        }
        WhatComes::Services { size, resource_version, next, items } => {
            let metadata = (resource_version, next);
            let json = items.iter().map(FuzzedService::json).collect();
            let json = in_pieces(&json_list("ServiceList", metadata, json), size, services_in_json);
            let protobuf = items.iter().map(FuzzedService::protobuf).collect::<Vec<_>>();
            let protobuf = in_pieces(&protobuf_list("ServiceList", metadata, &protobuf), size, services_in_protobuf);
            let json = json.expect("a list");
            assert_eq!(Ok(&json), protobuf.as_ref());
            assert!(json.iter().map(|service| &*service.name).eq(items.iter().map(|item| item.name)));
        }
        WhatComes::Slices { size, resource_version, next, items } => {
            let metadata = (resource_version, next);
            let json = items.iter().map(FuzzedSlice::json).collect();
            let json = in_pieces(&json_list("EndpointSliceList", metadata, json), size, slices_in_json);
            let protobuf = items.iter().map(FuzzedSlice::protobuf).collect::<Vec<_>>();
            let protobuf =
                in_pieces(&protobuf_list("EndpointSliceList", metadata, &protobuf), size, slices_in_protobuf);
            assert_eq!(Ok(&json.expect("a list")), protobuf.as_ref());
        }
    }
});

type ReadResult<T> = Result<Vec<T>, String>;

fn take(octets: &[u8], size: u8, is_protobuf: bool) {
    if is_protobuf {
        let _ = (in_pieces(octets, size, services_in_protobuf), in_pieces(octets, size, slices_in_protobuf));
    } else {
        let _ = (in_pieces(octets, size, services_in_json), in_pieces(octets, size, slices_in_json));
    }
}

/// What is read of `octets`, which must be the same at once and in pieces.
fn in_pieces<T: PartialEq + Debug>(
    octets: &[u8],
    size: u8,
    read: impl Fn(&[u8], usize) -> ReadResult<T>,
) -> ReadResult<T> {
    let whole = read(octets, octets.len().max(1));
    assert_eq!(whole.as_ref().ok(), read(octets, usize::from(size) + 1).as_ref().ok());
    whole
}

fn services_in_json(octets: &[u8], size: usize) -> ReadResult<svcproxy::service::Service> {
    services_in_list(octets.chunks(size), false)
}

fn services_in_protobuf(octets: &[u8], size: usize) -> ReadResult<svcproxy::service::Service> {
    services_in_list(octets.chunks(size), true)
}

fn slices_in_json(octets: &[u8], size: usize) -> ReadResult<svcproxy::cluster::EndpointSlice> {
    slices_in_list(octets.chunks(size), false)
}

fn slices_in_protobuf(octets: &[u8], size: usize) -> ReadResult<svcproxy::cluster::EndpointSlice> {
    slices_in_list(octets.chunks(size), true)
}

fn json_list(kind: &str, (resource_version, next): (&str, &str), items: Vec<serde_json::Value>) -> Vec<u8> {
    let mut metadata = json!({ "resourceVersion": resource_version });
    if !next.is_empty() {
        metadata["continue"] = json!(next);
    }
    let list = json!({ "kind": kind, "apiVersion": "v1", "metadata": metadata, "items": items });
    serde_json::to_vec(&list).expect("JSON")
}

fn protobuf_list(kind: &str, (resource_version, next): (&str, &str), items: &[Vec<u8>]) -> Vec<u8> {
    let metadata = [protobuf::text(1, ""), protobuf::text(2, resource_version), protobuf::text(3, next)].concat();
    let items: Vec<u8> = items.iter().flat_map(|item| protobuf::message(2, item)).collect();
    protobuf::document(kind, &[protobuf::message(1, &metadata), items].concat())
}
