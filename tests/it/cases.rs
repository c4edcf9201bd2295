//! The fake does what the real API server does: the cases that `tests/e2e` runs against the real one.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use support::fake::cases::{self, Door, Pod, Release, SERVICES, Stage, ports_of};
use support::fake::users::Rule;
use support::fake::{ADMIN_TOKEN, FakeApiServer};

#[tokio::test]
async fn the_fake_agrees_with_the_real_one() {
    let fake = FakeApiServer::start().await;
    let pod = TcpListener::bind("127.0.0.1:0").await.unwrap();
    furnish(&fake, pod.local_addr().unwrap());
    let door = Door {
        address: fake.address(),
        authority: fake.authority().der(),
        admin_token: ADMIN_TOKEN.to_owned(),
        narrow_token: "narrow-token".to_owned(),
        narrow_user: "narrow".to_owned(),
        namespace: "default".to_owned(),
    };
    let failures = cases::run_all(&Stage::new(door, pod).await, Release::V1_36).await;
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

fn furnish(fake: &FakeApiServer, pod: SocketAddr) {
    for service in &SERVICES {
        fake.service("default", service.name, ports_of(service, pod.port()));
        if service.pod != Pod::None {
            fake.pod("default", service.name, pod.ip(), service.pod != Pod::Unready);
        }
    }
    fake.add_token("narrow-token", "narrow");
    fake.grant(
        "narrow",
        &[Rule { verbs: &["get", "create"], resources: &["services/proxy"], names: &["named:http"], namespace: None }],
    );
}
