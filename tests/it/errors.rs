//! Every error that ends a run: one sentence in the user's words, one way out, nothing else.

use std::net::{Ipv4Addr, TcpListener};

use serde_json::{Value, json};

use crate::harness::{Plugin, kubeconfig, web};
use support::fake::faults::Fault;
use support::fake::status::Status;
use support::fake::users::Rule;
use support::fake::{ADMIN_TOKEN, FakeApiServer};
use support::{Authority, RawBackend};

/// The Service `web`, and others with which something is wrong.
async fn cluster() -> FakeApiServer {
    let fake = FakeApiServer::start().await;
    let _ = web(&fake).await;
    let http = json!([{"name": "http", "port": 80}]);
    let service = |namespace: &str, name: &str, spec: Value| {
        fake.put(json!({"kind": "Service", "metadata": {"namespace": namespace, "name": name}, "spec": spec}));
    };
    let selecting = |ports: Value| json!({"type": "ClusterIP", "selector": {"app": "x"}, "ports": ports});
    service("default", "shop-admin", selecting(http.clone()));
    service("default", "shop-api", selecting(http.clone()));
    service("default", "twins", selecting(json!([{"name": "a", "port": 1000}, {"name": "b", "port": 2000}])));
    service("default", "dns", selecting(json!([{"name": "dns", "port": 53, "protocol": "UDP"}])));
    service("default", "portless", json!({"type": "ClusterIP", "clusterIP": "None", "selector": {"app": "x"}}));
    service("default", "outside", json!({"type": "ExternalName", "externalName": "db.example"}));
    service("default", "kubernetes", json!({"type": "ClusterIP", "ports": [{"name": "https", "port": 443}]}));
    service("default", "manual", json!({"type": "ClusterIP", "ports": http}));
    fake
}

/// Runs `kubectl svcproxy` with each line of arguments; it must end with this code and say exactly this on stderr.
async fn check(fake: &FakeApiServer, cases: &[(&str, i32, &str)]) {
    for (line, code, error) in cases {
        Plugin::new(fake).args(line.split(' ')).ends(*code, "", error).await;
    }
}

#[tokio::test]
async fn a_service_that_is_not_there() {
    let fake = cluster().await;
    check(
        &fake,
        &[
            (
                "webb",
                1,
                "error: no Service \"webb\" in any namespace\nhint: did you mean web?\n",
            ),
            (
                "nothing-like-it",
                1,
                "error: no Service \"nothing-like-it\" in any namespace\n\
                 hint: kubectl svcproxy --list -A shows what there is\n",
            ),
            (
                "nothing-like-it -n default",
                1,
                "error: no Service \"nothing-like-it\" in namespace \"default\"\n\
                 hint: look in all namespaces with -A\n",
            ),
            (
                "nothing-like-it -A",
                1,
                "error: no Service \"nothing-like-it\" in any namespace\n\
                 hint: kubectl svcproxy --list -A shows what there is\n",
            ),
            (
                "https:web",
                1,
                "error: no Service \"https\" in any namespace\n\
                 hint: \"https:web\" is Service \"https\", port \"web\"; Service \"web\" over https is spelled https:web:\n",
            ),
            (
                "shop",
                1,
                "error: \"shop\" is 2 Services: shop-admin.default, shop-api.default\n\
                 hint: name one of them, or choose on a terminal with --pick\n",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_service_that_cannot_be_opened() {
    let fake = cluster().await;
    check(
        &fake,
        &[
            (
                "outside",
                1,
                "error: Service \"outside\" is of type ExternalName: it only stands for db.example\n\
                 hint: open db.example directly\n",
            ),
            (
                "portless",
                1,
                "error: Service \"portless\" has no ports\n\
                 hint: add the port under spec.ports: kubectl edit service portless -n default\n",
            ),
            ("dns", 1, "error: Service \"dns\" has no TCP port (dns 53/UDP), and a browser needs one\n"),
            (
                "kubernetes",
                1,
                "error: Service \"kubernetes\" is the API server itself, which the API server does not proxy to\n\
                 hint: kubectl get --raw / talks to it\n",
            ),
            (
                "manual",
                1,
                "error: Service \"manual\" has no selector and none of its endpoints is a Pod, and the API server \
                 proxies to Pods only\n\
                 hint: open the address of its endpoints directly, if you can reach it\n",
            ),
            (
                "twins",
                1,
                "error: Service \"twins\" has several ports: a 1000, b 2000\n\
                 hint: say which: kubectl svcproxy twins:PORT\n",
            ),
            ("web:81", 1, "error: Service \"web\" has no port 81\nhint: it has http 80\n"),
            ("web:admin", 1, "error: Service \"web\" has no port admin\nhint: it has http 80\n"),
        ],
    )
    .await;
}

#[tokio::test]
async fn rights_that_are_missing() {
    let fake = cluster().await;
    fake.add_token("narrow", "narrow");
    let rule = Rule { verbs: &["get"], resources: &["services/proxy"], names: &["web:http"], namespace: None };
    fake.grant("narrow", &[rule]);
    check(
        &fake,
        &[
            (
                "web -A --token=narrow",
                1,
                "error: you may not list services in all namespaces\n\
                 hint: an exact name needs no list: kubectl svcproxy NAME -n NAMESPACE; or ask for the rule {apiGroups: [\"\"], resources: [\"services\"], verbs: [\"list\"]}: \
                 kubectl create clusterrole svcproxy --verb=list --resource=services\n",
            ),
            (
                "web --token=wrong",
                1,
                "error: the API server does not accept these credentials; they may have expired\n\
                 hint: log in again; `kubectl auth whoami` shows whether that worked. If it never does, something between \
                 here and the API server may drop the Authorization header\n",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_api_server_in_trouble() {
    let fake = cluster().await;
    fake.fault("/services/web", 2, Fault::Answer(Status::unavailable("etcd is gone")));
    check(&fake, &[("web", 1, "error: the API server answered 503: etcd is gone\n")]).await;
}

#[tokio::test]
async fn an_api_server_that_cannot_be_reached() {
    let fake = cluster().await;
    let nobody = format!("https://127.0.0.1:{}", closed_port());
    let unreachable = format!(
        "error: cannot reach the API server at {}: connection refused\n\
         hint: is the cluster running, and the VPN up? `kubectl cluster-info` goes the same way\n",
        nobody.trim_start_matches("https://")
    );
    check(
        &fake,
        &[
            (&format!("web --server={nobody}"), 1, &unreachable),
            (
                "web --server=https://no-such-host.invalid",
                1,
                "error: cannot find the host no-such-host.invalid\n\
                 hint: is the VPN up? `kubectl cluster-info` goes the same way\n",
            ),
        ],
    )
    .await;
    fake.end_unasked();
}

/// A port where nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted() {
    let fake = cluster().await;
    let other = kubeconfig(&fake.url(), &Authority::new().pem(), &format!("token: {ADMIN_TOKEN}"));
    let plugin = Plugin::new(&fake);
    let file = plugin.write("other", &other);
    plugin
        .args(["web", "--kubeconfig"])
        .args([file])
        .ends(
            1,
            "",
            "error: no secure connection to the API server {SERVER}: its certificate is signed by an unknown authority\n\
             hint: the kubeconfig may be of an older cluster: get a new one, or give --certificate-authority FILE\n",
        )
        .await;
    check(
        &fake,
        &[(
            "web --tls-server-name=other.example",
            1,
            "error: no secure connection to the API server {SERVER}: its certificate is not for other.example but for \
             127.0.0.1, localhost\n\
             hint: give the name that it is for: --tls-server-name NAME\n",
        )],
    )
    .await;
    fake.end_unasked();
}

#[tokio::test]
async fn an_api_server_that_speaks_no_tls() {
    let fake = cluster().await;
    let plain = RawBackend::start().await;
    let address = plain.address();
    let answering = tokio::spawn(async move {
        loop {
            plain.answer_anything("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let error = format!(
        "error: no secure connection to the API server https://{address}: what answers there does not speak TLS\n\
         hint: should `server` in the kubeconfig begin with http://?\n"
    );
    check(&fake, &[(&format!("web --server=https://{address}"), 1, &error)]).await;
    answering.abort();
    fake.end_unasked();
}

#[tokio::test]
async fn a_kubeconfig_that_is_missing_or_broken() {
    let fake = cluster().await;
    Plugin::without_kubeconfig(&fake)
        .args(["web"])
        .ends(
            2,
            "",
            "error: there is no kubeconfig ({HOME}/.kube/config), so no cluster is known\n\
             hint: get one from whoever runs the cluster, then set KUBECONFIG or give --kubeconfig FILE\n",
        )
        .await;
    let plugin = Plugin::new(&fake);
    plugin.write("broken", "apiVersion: v1\nusers:\n- name: x\n  user: {token: s3cret\n");
    plugin
        .args(["web", "--kubeconfig=broken"])
        .ends(2, "", "error: the kubeconfig broken cannot be understood at line 4, column 9\n")
        .await;
    fake.end_unasked();
}

#[tokio::test]
async fn a_kubeconfig_without_what_was_asked_for() {
    let fake = cluster().await;
    check(
        &fake,
        &[
            ("web --context=prod", 2, "error: the kubeconfig has no context \"prod\"\nhint: it has test\n"),
            ("web --context=tets", 2, "error: the kubeconfig has no context \"tets\"\nhint: did you mean test?\n"),
            ("web --cluster=x", 2, "error: the kubeconfig has no cluster \"x\"\nhint: it has test\n"),
            ("web --user=x", 2, "error: the kubeconfig has no user \"x\"\nhint: it has test\n"),
            ("web --kubeconfig=none", 2, "error: there is no kubeconfig none\n"),
            (
                "web --certificate-authority=none",
                1,
                "error: cannot read the certificate authority of cluster \"test\", none: no such file or directory\n",
            ),
        ],
    )
    .await;
    fake.end_unasked();
}

#[tokio::test]
async fn a_place_to_listen_that_is_not_free() {
    let fake = cluster().await;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let plain = |arguments: &str| {
        let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        Plugin::new(&fake).plain().args(arguments)
    };
    plain(&format!("web --no-browser --port={port}"))
        .ends(
            1,
            "",
            &format!(
                "error: 127.0.0.1:{port} is already in use\n\
                 hint: choose another port with --port, or leave the choice to the program without it\n"
            ),
        )
        .await;
    plain("web --no-browser --address=192.0.2.1")
        .ends(
            1,
            "",
            "error: this machine does not have the address 192.0.2.1\n\
             hint: --address takes addresses of this machine's own interfaces\n",
        )
        .await;
    plain("web --no-browser --unix-socket=none/socket")
        .ends(1, "", "error: cannot listen on none/socket: no such file or directory\nhint: choose another path with --unix-socket\n")
        .await;
}

#[tokio::test]
async fn nothing_to_choose_from() {
    let fake = cluster().await;
    let hint = "hint: name it: kubectl svcproxy SERVICE [-n NAMESPACE]; kubectl svcproxy --list shows them\n";
    Plugin::new(&fake).ends(2, "", &format!("error: no SERVICE given, and no terminal to choose on\n{hint}")).await;
    Plugin::new(&fake).args(["--pick"]).ends(2, "", &format!("error: --pick needs a terminal\n{hint}")).await;
    Plugin::new(&fake)
        .args(["-"])
        .ends(
            1,
            "",
            "error: nothing has been opened in context test yet\n\
             hint: choose a Service with kubectl svcproxy, or name one\n",
        )
        .await;
    fake.end_unasked();
}
