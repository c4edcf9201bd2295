//! Picking and listing on a real cluster, through real kubectl, in a real pseudo-terminal.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{Plugin, assert_shows_nginx, default_port, nginx_in, serve};
use support::cluster::{Cluster, Namespace, Nginx};
use support::terminal::{Terminal, USUAL, is_drawn};
use support::{Running, eventually, http};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        first_use_ends_on_the_app,
        as_much_as_rbac_lets_one_see,
        the_list_is_read_again_and_everywhere,
        what_was_opened_before_where_nothing_may_be_listed,
        a_terminal_that_takes_no_orders,
        a_rollout_shows_as_readiness,
        what_cluster_info_shows_and_more,
        five_thousand_services,
        the_only_one_elsewhere_is_opened,
        several_elsewhere_are_picked_from,
        elsewhere_without_a_terminal,
        elsewhere_with_narrow_rights,
        a_namespace_that_is_none,
        one_service_by_several_names,
    ]
}

/// `kubectl svcproxy`, three letters, Enter.
async fn first_use_ends_on_the_app(cluster: &'static Cluster) {
    let _port = default_port().await;
    let nginx = Nginx::start(cluster).await;
    let namespace = cluster.namespace().await;
    let ports = json!([{"name": "http", "port": 80, "targetPort": Nginx::HTTP}]);
    namespace.expose("welcome", nginx.ip(), ports).await;
    namespace.service("redis", json!([{"port": 6379}])).await;
    namespace.until_endpoints("welcome", 1).await;

    let (browser, opened) = (cluster.scratch().join("browser"), cluster.scratch().join("opened"));
    fs::write(&browser, format!("#!/bin/sh\nprintf %s \"$1\" > {}\n", opened.display())).unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let plugin = Plugin::new(cluster, &kubeconfig).plain().env("BROWSER", &browser);
    let mut terminal = plugin.in_terminal(USUAL);
    terminal.until_text("all namespaces").await;
    for letter in ["w", "e", "l"] {
        terminal.press(letter);
    }
    terminal
        .until("the Service", |text| text.contains("> wel") && text.contains("/welcome") && text.contains("1/1"))
        .await;
    terminal.press("\r");
    let url = eventually("the browser", async || fs::read_to_string(&opened).ok().filter(|url| !url.is_empty())).await;
    assert!(http::get(&url).await.text().contains("Welcome to nginx!"));
    terminal.press("\x03");
    assert_eq!(terminal.end().await, 0);
    assert!(terminal.is_given_back());
}

async fn as_much_as_rbac_lets_one_see(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace.service("mine", json!([{"name": "http", "port": 80}])).await;
    let user = cluster.user();
    namespace.bind(&user, "view").await;
    let kubeconfig = user.kubeconfig(namespace.name());
    let place = format!("namespace {}", namespace.name());
    let mut terminal = Plugin::new(cluster, &kubeconfig).in_terminal(USUAL);
    let text = terminal.until("what may be seen", |text| text.contains(&place) && text.contains("/mine")).await;
    assert!(text.contains("you may not list Services in all namespaces"), "{text}");
    terminal.press("\x1b");
    assert_eq!(terminal.end().await, 130);

    let run = Plugin::new(cluster, &kubeconfig).plain().args(["--list", "-A", "-o", "name"]).finish().await;
    assert_eq!((run.code(), &run.stdout[..]), (0, "service/mine\n"));
    assert!(run.stderr.contains(&place), "{}", run.stderr);
}

/// Ctrl-R and Ctrl-A, with the mark and the caret where they were.
async fn the_list_is_read_again_and_everywhere(cluster: &'static Cluster) {
    let [one, two] = [cluster.namespace().await, cluster.namespace().await];
    for name in ["alpha", "beta"] {
        one.service(name, json!([{"name": "redis", "port": 6379}])).await;
    }
    two.service("elsewhere-in-the-list", json!([{"port": 80}])).await;
    let plugin = of_context(cluster, one.name(), &["--pick", "-n", one.name()]);
    let mut terminal = plugin.in_terminal(USUAL);
    let text = terminal.until("both", |text| text.contains(" 2/2") && !text.contains("loading")).await;
    assert!(text.contains("redis:6379  redis"), "a port of another protocol is not shown as http: {text}");
    terminal.press("\x1b[B\t");
    terminal.until_text("1 marked").await;

    cluster.api().delete(&format!("{}/alpha", one.path("Service"))).await;
    one.service("gamma", json!([{"port": 80}])).await;
    terminal.press("\x12");
    let text = terminal.until_text("/gamma").await;
    assert!(!text.contains("/alpha") && text.contains("*") && text.contains("/beta"), "{text}");

    terminal.press("elsewhere-in-list");
    terminal.until_text("nothing matches").await;
    terminal.press("\x01");
    terminal.until("that of another namespace", |text| text.contains(&format!("{}/else", two.name()))).await;
    // Back over "list", and a word that is not in it.
    terminal.press(&"\x1b[D".repeat(4));
    terminal.press("x");
    terminal.until_text("> elsewhere-in-xlist").await;
    terminal.press("\x08the-");
    terminal.until("it again", |text| text.contains("> elsewhere-in-the-list") && text.contains(" 1/")).await;
    terminal.press("\x1b");
    assert_eq!(terminal.end().await, 130);
}

/// With nothing but the right to open that one Service.
async fn what_was_opened_before_where_nothing_may_be_listed(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_called(cluster, &namespace, "mine-alone").await;
    namespace.until_endpoints("mine-alone", 1).await;
    let user = cluster.user();
    let rule = json!([{
        "apiGroups": [""], "resources": ["services/proxy"], "resourceNames": ["mine-alone:http"], "verbs": ["get"],
    }]);
    namespace.grant(&user, rule).await;
    let state = cluster.scratch();
    let plugin = |arguments: &[&str]| {
        Plugin::new(cluster, &user.kubeconfig(namespace.name())).env("XDG_STATE_HOME", &state).args(arguments)
    };
    let mut terminal = plugin(&["--pick"]).in_terminal(USUAL);
    assert_eq!(terminal.end().await, 1);
    assert!(terminal.text().contains("an exact name needs no list"), "{}", terminal.text());

    plugin(&["mine-alone:http"]).serve().await.stop().await;
    for arguments in [&["--pick"][..], &["--pick", "-n", namespace.name()]] {
        let mut terminal = plugin(arguments).in_terminal(USUAL);
        let text = terminal.until_text("/mine-alone").await;
        assert!(text.contains("these were opened before") && text.contains(" 1/1"), "{text}");
        terminal.press("\r");
        serves_nginx_of(&mut terminal, &namespace, "mine-alone").await;
        terminal.press("\x03");
        assert_eq!(terminal.end().await, 0);
    }
    let mut terminal = plugin(&["--pick", "-n", "default"]).in_terminal(USUAL);
    assert_eq!(terminal.end().await, 1, "nothing was opened there");
}

/// `TERM=dumb`, as in an editor's shell: lines to read, and a line to type.
async fn a_terminal_that_takes_no_orders(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_called(cluster, &namespace, "numbered").await;
    namespace.until_endpoints("numbered", 1).await;
    namespace.service("other", json!([{"name": "one", "port": 1111}, {"name": "two", "port": 2222}])).await;
    let dumb = |arguments: &[&str]| of_context(cluster, namespace.name(), arguments).env("TERM", "dumb");
    let mut terminal = dumb(&["--pick", "-n", namespace.name()]).in_terminal(USUAL);
    let text = terminal.until_text("Which? Numbers").await;
    assert!(text.contains("  1  ") && text.contains("/numbered"), "{text}");
    assert!(!terminal.written().contains('\x1b'), "{:?}", terminal.written());
    terminal.press("nothing-like-it\r");
    terminal.until_text("nothing matches \"nothing-like-it\"").await;
    terminal.press("numb\r");
    terminal.until("it alone", |text| text.matches("Which? Numbers").count() == 3).await;
    terminal.press("1\r");
    serves_nginx_of(&mut terminal, &namespace, "numbered").await;
    terminal.press("\x03");
    assert_eq!(terminal.end().await, 0);

    let mut terminal = dumb(&["other"]).in_terminal(USUAL);
    let text = terminal.until_text("A number from 1 to 2").await;
    assert!(text.contains("Which port of") && text.contains("  2  two:2222"), "{text}");
    terminal.press("2\r");
    terminal.until_text("\"two\"").await;
    drop(terminal);
    for leave in ["\r", "\x04", "\x03"] {
        let mut terminal = dumb(&["--pick"]).in_terminal(USUAL);
        terminal.until_text("Which? Numbers").await;
        terminal.press(leave);
        assert_eq!(terminal.end().await, 130, "{leave:?}");
    }
}

async fn a_rollout_shows_as_readiness(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace.expose("app", cluster.pod_address(), json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
    namespace.until_endpoints("app", 1).await;
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let listed = async || {
        let run = Plugin::new(cluster, &kubeconfig).plain().args(["--list", "-o", "json"]).finish().await;
        let document: Value = serde_json::from_str(&run.stdout).unwrap();
        let service = &document["services"][0];
        (service["ready"].as_u64().unwrap(), service["endpoints"].as_u64().unwrap())
    };
    assert_eq!(listed().await, (1, 1));
    namespace.set_ready("app-0", false).await;
    eventually("the endpoint to be unready", async || (listed().await == (0, 1)).then_some(())).await;
}

/// What `kubectl cluster-info` prints leads to the same Services; what it leaves out or gets wrong is right here.
async fn what_cluster_info_shows_and_more(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace
        .create(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "dash", "labels": {"kubernetes.io/cluster-service": "true"}},
            "spec": {"ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "web-tls", "port": 8443},
                {"name": "metrics", "port": 9153},
            ]},
        }))
        .await;
    let kubeconfig = cluster.admin().kubeconfig("default");
    let place = ["-n", namespace.name()];
    let run = Plugin::new(cluster, &kubeconfig).plain().args(["--list", "--builtin"]).args(place).finish().await;
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let proxy = |id: &str| format!("http://127.0.0.1:8001{}/", namespace.proxy_path(id));
    for url in [proxy("https:dash:web-tls"), proxy("dash:metrics")] {
        assert!(run.stdout.contains(&url), "{url} is not in\n{}", run.stdout);
    }
    let mut kubectl = Command::new(cluster.programs().path("kubectl").unwrap());
    kubectl.env("KUBECONFIG", &kubeconfig).args(["cluster-info", "-n", namespace.name()]);
    let info = Running::spawn(kubectl).end().await.stdout;
    assert!(info.contains("services/dash:dns/proxy"), "the only link that cluster-info shows is of no use: {info}");
}

/// The first rows come before the list is complete, and a keystroke is not felt.
async fn five_thousand_services(cluster: &'static Cluster) {
    const COUNT: usize = 5_000;
    let namespace = cluster.namespace().await;
    let path = namespace.path("Service");
    let create = |number: usize| {
        // Headless, since addresses are few, and without a selector, since controllers are slow.
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("api-{number:04}")},
            "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]},
        });
        let path = &path;
        async move { drop(cluster.api().create(path, &service).await) }
    };
    stream::iter(0..COUNT).map(create).buffer_unordered(64).collect::<Vec<()>>().await;

    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let start = Instant::now();
    let mut terminal = Plugin::new(cluster, &kubeconfig).args(["-n", namespace.name()]).in_terminal(USUAL);
    terminal.until_text("/api-0000 ").await;
    let first = start.elapsed();
    terminal.until("the whole list", |text| text.contains("5000/5000") && !text.contains("loading")).await;
    let whole = start.elapsed();

    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..5 {
        for typed in ["4", "49", "499"] {
            times.push(terminal.time_to(&typed[typed.len() - 1..], |screen| is_drawn(screen, typed)));
        }
        for typed in ["49", "4", ""] {
            times.push(terminal.time_to("\x7f", |screen| is_drawn(screen, typed)));
        }
    }
    times.sort();
    println!(
        "5000 Services: first rows after {first:?}, all after {whole:?}; a key: median {:?}, worst {:?}",
        times[times.len() / 2],
        times[times.len() - 1]
    );
    terminal.press("4999");
    terminal.until("the best match", |text| text.contains(&format!("> {}/api-4999 ", namespace.name()))).await;
    terminal.press("\x1b");
    assert_eq!(terminal.end().await, 130);

    let run = Plugin::new(cluster, &kubeconfig).plain().args(["--list", "-o", "name"]).finish().await;
    let names: BTreeSet<&str> = run.stdout.lines().collect();
    assert_eq!(names.len(), COUNT);
}

/// nginx behind a Service of that name.
async fn nginx_called(cluster: &Cluster, namespace: &Namespace, name: &str) -> Nginx {
    let nginx = Nginx::start(cluster).await;
    let ports = json!([{"name": "http", "port": 80, "targetPort": Nginx::HTTP}]);
    namespace.expose(name, nginx.ip(), ports).await;
    nginx
}

/// As a person runs it whose context has that namespace.
fn of_context(cluster: &Cluster, namespace: &str, arguments: &[&str]) -> Plugin {
    Plugin::new(cluster, &cluster.admin().kubeconfig(namespace)).args(arguments)
}

/// Waits for the ready line of a Service of `namespace`, and looks at its page.
async fn serves_nginx_of(terminal: &mut Terminal, namespace: &Namespace, name: &str) {
    let path = namespace.proxy_path(&format!("{name}:http"));
    let text = terminal.until("the URL", |text| text.replace('\n', "").contains(&format!("{path}/"))).await;
    let text = text.replace('\n', "");
    let url = text.split('"').find(|part| part.contains(&path)).expect("the ready line is JSON");
    assert_shows_nginx(url).await;
}

/// Also where the context's own namespace does not exist, and by every spelling that names no namespace.
async fn the_only_one_elsewhere_is_opened(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_called(cluster, &namespace, "only-there").await;
    let _other = nginx_called(cluster, &namespace, "there-too").await;
    let cases: [(&str, &[&str]); 4] = [
        ("default", &["only-there"]),
        ("default", &["svc/only-there:http"]),
        ("default", &["only-there", "there-too:80"]),
        ("no-such-namespace", &["only-there:80"]),
    ];
    for (own, arguments) in cases {
        let mut terminal = of_context(cluster, own, arguments).in_terminal(USUAL);
        let said = format!("only-there is not in {own}: opening it in {}", namespace.name());
        terminal.until_text(&said).await;
        if arguments.len() > 1 {
            terminal.until_text(&said.replace("only-there", "there-too")).await;
        } else if !arguments[0].ends_with(":80") {
            serves_nginx_of(&mut terminal, &namespace, "only-there").await;
        }
        terminal.until_text("\"proxyUrl\"").await;
        terminal.press("\x03");
        assert_eq!(terminal.end().await, 0, "{arguments:?}");
    }
    let mut terminal = of_context(cluster, "default", &["only-there", "--dry-run"]).plain().in_terminal(USUAL);
    assert_eq!(terminal.end().await, 0);
    let text = terminal.text();
    assert!(text.contains(&format!("Service   {}/only-there", namespace.name())), "{text}");
    assert!(text.contains("opening it in"), "{text}");
}

async fn several_elsewhere_are_picked_from(cluster: &'static Cluster) {
    let [one, two] = [cluster.namespace().await, cluster.namespace().await];
    let _nginx = nginx_called(cluster, &one, "in-two-places").await;
    two.service("in-two-places", json!([{"port": 80}])).await;
    for typed in ["in-two-places", "in-two-pl"] {
        let mut terminal = of_context(cluster, "default", &[typed]).in_terminal(USUAL);
        let rows = [&one, &two].map(|namespace| format!("{}/in-two-places", namespace.name()));
        let are_there = |text: &str| rows.iter().all(|row| text.contains(row));
        let text = terminal.until("both", |text| are_there(text) && text.contains(" 2/")).await;
        assert!(text.contains(&format!("> {typed}")) && text.contains("all namespaces"), "{text}");
        terminal.press(&format!(" '{}/", one.name()));
        terminal.until("one", |text| text.contains(" 1/")).await;
        terminal.press("\r");
        serves_nginx_of(&mut terminal, &one, "in-two-places").await;
        terminal.press("\x03");
        assert_eq!(terminal.end().await, 0);
    }
}

async fn elsewhere_without_a_terminal(cluster: &'static Cluster) {
    let [one, two] = [cluster.namespace().await, cluster.namespace().await];
    one.service("in-no-terminal", json!([{"name": "http", "port": 80}])).await;
    let said = async |arguments: &[&str]| {
        let run = of_context(cluster, "default", arguments).finish().await;
        assert_eq!((run.code(), &run.stdout[..]), (1, ""), "{}", run.stderr);
        run.stderr
    };
    let head = "error: Service \"in-no-terminal\" is not in namespace \"default\" but in";
    let command = |namespace: &Namespace| format!("kubectl svcproxy in-no-terminal:http -n {}", namespace.name());
    let expect = format!("{head} {}\nhint: {}\n", one.name(), command(&one));
    assert_eq!(said(&["in-no-terminal:http"]).await, expect);
    assert_eq!(said(&["in-no-terminal:http", "kubernetes", "--dry-run"]).await, expect);
    let near = said(&["in-no-termnal"]).await;
    let head_of_near = "error: no Service \"in-no-termnal\" in any namespace\nhint: did you mean in-no-terminal.";
    assert!(near.starts_with(&format!("{head_of_near}{}", one.name())), "{near}");

    two.service("in-no-terminal", json!([{"name": "http", "port": 80}])).await;
    let mut both = [&one, &two];
    // As the API server lists them.
    both.sort_by_key(|namespace| namespace.name());
    let [a, b] = both;
    let expect = format!("{head} {} and {}\nhint: {}; or {}\n", a.name(), b.name(), command(a), command(b));
    assert_eq!(said(&["in-no-terminal:http"]).await, expect);
    let typed = said(&["in-no-terminal", "-n", "default"]).await;
    assert_eq!(
        typed,
        "error: no Service \"in-no-terminal\" in namespace \"default\"\nhint: look in all namespaces with -A\n"
    );
}

/// Then only the history knows where else to look.
async fn elsewhere_with_narrow_rights(cluster: &'static Cluster) {
    let [own, other] = [cluster.namespace().await, cluster.namespace().await];
    let _nginx = nginx_called(cluster, &other, "narrowly").await;
    let user = cluster.user();
    own.bind(&user, "view").await;
    other.bind(&user, "edit").await;
    let state = cluster.scratch();
    let plugin = |namespace: &str, arguments: &[&str]| {
        Plugin::new(cluster, &user.kubeconfig(namespace)).env("XDG_STATE_HOME", &state).args(arguments)
    };
    let said = async |namespace: &str| {
        let run = plugin(namespace, &["narrowly:http"]).finish().await;
        assert_eq!((run.code(), &run.stdout[..]), (1, ""), "{}", run.stderr);
        run.stderr
    };
    let not_all = "and you may not list Services in all namespaces";
    let expect = format!(
        "error: no Service \"narrowly\" in namespace {}, {not_all}\n\
         hint: name its namespace: kubectl svcproxy narrowly:http -n NAMESPACE\n",
        own.name()
    );
    assert_eq!(said(own.name()).await, expect);
    let closed = said("default").await;
    assert!(closed.starts_with("error: you may not open narrowly in default: you lack services/proxy"), "{closed}");
    assert!(closed.contains("hint: if it is in another namespace, name that with -n; or ask for one of"), "{closed}");

    plugin(own.name(), &["narrowly", "-n", other.name()]).serve().await.stop().await;
    let command = format!("hint: kubectl svcproxy narrowly:http -n {}\n", other.name());
    let (here, there) = (own.name(), other.name());
    let expect = format!("error: Service \"narrowly\" is not in namespace \"{here}\" but in {there}\n{command}");
    assert_eq!(said(own.name()).await, expect);
    let expect = format!(
        "error: you may not open Service \"narrowly\" in namespace \"default\", but there is one in {there}\n{command}"
    );
    assert_eq!(said("default").await, expect);
    for (own, why) in [
        (own.name(), format!("narrowly is not in {here}")),
        ("default", "you may not open narrowly in default".to_owned()),
    ] {
        let mut terminal = plugin(own, &["narrowly"]).in_terminal(USUAL);
        terminal.until_text(&format!("{why}: opening it in {there}")).await;
        serves_nginx_of(&mut terminal, &other, "narrowly").await;
        terminal.press("\x03");
        assert_eq!(terminal.end().await, 0);
    }
}

async fn a_namespace_that_is_none(cluster: &'static Cluster) {
    cluster.api().create("/api/v1/namespaces", &json!({"metadata": {"name": "monitoring"}})).await;
    let missing = "there is no namespace \"monitorng\"";
    let error = format!("error: {missing}\nhint: did you mean monitoring?\n");
    for arguments in [&["grafana", "-n", "monitorng"][..], &["monitorng/grafana"], &["grafana.monitorng:80"]] {
        let run = of_context(cluster, "default", arguments).finish().await;
        assert_eq!((run.code(), &run.stdout[..], &run.stderr[..]), (1, "", &error[..]), "{arguments:?}");
    }
    // Nothing is called so anywhere.
    let run = of_context(cluster, "monitorng", &["called-like-nothing"]).finish().await;
    assert_eq!((run.code(), &run.stderr[..]), (1, &error[..]));
    let mut terminal = of_context(cluster, "default", &["-n", "monitorng"]).in_terminal(USUAL);
    assert_eq!(terminal.end().await, 1);
    assert!(terminal.text().contains(missing), "{}", terminal.text());
    let run = of_context(cluster, "default", &["--list", "-n", "monitorng"]).plain().finish().await;
    assert_eq!((run.code(), run.stderr), (0, format!("warning: {missing}; did you mean monitoring?\n")));

    let user = cluster.user();
    let plugin = || Plugin::new(cluster, &user.kubeconfig("default")).args(["grafana:80", "-n", "monitorng"]);
    let run = plugin().finish().await;
    assert!(
        run.code() == 1 && run.stderr.starts_with("error: you may not open grafana in monitorng"),
        "{}",
        run.stderr
    );
    cluster.bind(&user, "view").await;
    let run = eventually("the right to list namespaces", async || {
        let run = plugin().finish().await;
        (!run.stderr.contains("you may not")).then_some(run)
    });
    assert_eq!(run.await.stderr, error);
}

/// One Target is opened once, and that is said; another port, or another page, is another one.
async fn one_service_by_several_names(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let place = format!("{}/nginx", namespace.name());
    let serving = serve(cluster, &namespace, &["nginx:http", "nginx:80", &place, "nginx:443"]).await;
    let said = format!("nginx:http, nginx:80, {place}: that is {place}:http each time, and it is opened once");
    serving.until_stderr(&said).await;
    assert!(serving.proxy_url().ends_with("/services/nginx:http/proxy/"), "{}", serving.proxy_url());
    assert_shows_nginx(&serving.proxy_url()).await;
    let finished = serving.stop().await;
    assert_eq!(finished.stdout.lines().count(), 2, "{}", finished.stdout);
}
