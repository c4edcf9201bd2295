//! The real API server does what the fake one does: the cases that `tests/it` runs against the fake.

use serde_json::json;
use tokio::net::TcpListener;

use support::cluster::{self, Cluster, Namespace};
use support::fake::cases::{self, Door, Pod, Release, SERVICES, Stage, narrow_rules, ports_of};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![the_fake_agrees_with_the_real_one]
}

async fn the_fake_agrees_with_the_real_one(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let pod = TcpListener::bind((cluster.pod_address(), 0)).await.unwrap();
    furnish(&namespace, &pod).await;
    let narrow = cluster.user();
    namespace.grant(&narrow, narrow_rules()).await;
    let door = Door {
        address: Cluster::authority_of_url().parse().unwrap(),
        authority: cluster.authority().der(),
        admin_token: cluster.admin().token().to_owned(),
        narrow_token: narrow.token().to_owned(),
        narrow_user: narrow.name().to_owned(),
        namespace: namespace.name().to_owned(),
    };
    let version = cluster.api().get("/version").await.expect("an API server says its version");
    let failures = cases::run_all(&Stage::new(door, pod).await, Release::of(&version)).await;
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

async fn furnish(namespace: &Namespace, listener: &TcpListener) {
    let address = listener.local_addr().unwrap();
    let std::net::IpAddr::V4(ip) = address.ip() else { panic!("Pods have IPv4 addresses here") };
    for service in &SERVICES {
        namespace.service(service.name, ports_of(service, address.port())).await;
        if service.pod != Pod::None {
            let name = format!("{}-0", service.name);
            let ready = service.pod != Pod::Unready;
            let labels = json!({"app": service.name});
            namespace.pod(cluster::Pod { name: &name, ip, labels, ports: json!([]), ready }).await;
            namespace.until_endpoints(service.name, usize::from(ready)).await;
        }
    }
    namespace.until_endpoints("empty", 0).await;
}
