//! Hostile requests as data, by the numbers of the list of threats (T1 to T24), to be played in any setting.
//!
//! Texts hold names in braces, which the setting gives: `{BASE}`, the path at which the app's `/` is, without its final slash;
//! `{PROXY}`, its proxy path at the API server, and `{OTHER}`, that of a Service that is not open; `{NAMESPACE}`, of both;
//! `{HOST}` and `{ORIGIN}`, the app's own; `{NAME}` and `{PORT}`, the parts of `{HOST}`; `{API}`, the API server's URL;
//! `{COOKIE}`, the session, and `{COOKIE_NAME}`.

use std::fmt;

/// A request, and what must not come of it.
#[derive(Debug, Clone)]
pub struct Attack {
    /// The number of the threat.
    pub threat: u8,
    /// What it tries, in words.
    pub tries: &'static str,
    /// By which protocols it can be said.
    pub said: SaidBy,
    /// Where it is tried.
    pub stage: AttackStage,
    /// Its method.
    pub method: &'static str,
    /// What stands behind the method.
    pub target: String,
    /// The lines of its head, `Name: value`, as they are; the app's own `Host` is added where none is among them.
    pub lines: Vec<String>,
    /// What follows the head.
    pub body: String,
    /// What the app answers to it, instead of telling what it heard.
    pub app_says: Option<AppSays>,
    /// What must not come of it.
    pub harm: Harm,
}

/// An answer of the app.
#[derive(Debug, Clone)]
pub struct AppSays {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
}

/// By which protocols a request can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaidBy {
    /// HTTP/1.1 and HTTP/2.
    Both,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/1.1 alone, without any `Host` but its own lines.
    Http1WithoutHost,
    /// Both, as the handshake of a WebSocket.
    Handshake,
}

/// Where a request is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttackStage {
    /// Wherever the app is.
    Open,
    /// Only where the app shares its origin with others.
    SharedOrigin,
    /// Where a token is asked for.
    Token,
    /// There, and about the session that follows, which `kubectl proxy` does not have.
    Session,
}

/// What must not come of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Anybody hears of it: the app, another Service's, or the API server.
    Reached,
    /// Another Service's app hears of it, or the API server answers for itself.
    Beyond,
    /// What stands behind the request is taken for one.
    Smuggled,
    /// The app hears of it more than once.
    Twice,
    /// The app hears this.
    AppHears(&'static str),
    /// The API server takes the sender for somebody else.
    Identity,
    /// The app hears a claim, or the API server believes it.
    Claim,
    /// Head or body of the answer say this, in small letters.
    AnswerSays(&'static str),
    /// The answer leads the browser to another host, from a path.
    LedAway,
    /// A terminal would obey the answer.
    Obeyed,
    /// The log says this.
    Logged(&'static str),
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{} {}: {} {} {:?}", self.threat, self.tries, self.method, self.target, self.lines)
    }
}

impl Attack {
    fn new(threat: u8, tries: &'static str, method: &'static str, target: impl Into<String>) -> Self {
        Self {
            threat,
            tries,
            said: SaidBy::Both,
            stage: AttackStage::Open,
            method,
            target: target.into(),
            lines: Vec::new(),
            body: String::new(),
            app_says: None,
            harm: Harm::Reached,
        }
    }

    fn lines<L: Into<String>>(mut self, lines: impl IntoIterator<Item = L>) -> Self {
        self.lines.extend(lines.into_iter().map(Into::into));
        self
    }

    fn said(self, said: SaidBy) -> Self {
        Self { said, ..self }
    }

    fn at(self, stage: AttackStage) -> Self {
        Self { stage, ..self }
    }

    fn body(self, body: &str) -> Self {
        Self { body: body.to_owned(), ..self }
    }

    fn harm(self, harm: Harm) -> Self {
        Self { harm, ..self }
    }

    fn app_says(self, status: u16, headers: &[(&'static str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { app_says: Some(AppSays { status, headers }), ..self }
    }

    /// The lines as they go over a connection of HTTP/1.1, in front of the empty one.
    pub fn head_lines(&self) -> Vec<String> {
        let is_host = |line: &String| line.to_ascii_lowercase().starts_with("host:");
        let mut lines = Vec::new();
        if self.said != SaidBy::Http1WithoutHost && !self.lines.iter().any(is_host) {
            lines.push("Host: {HOST}".to_owned());
        }
        lines.extend(self.lines.iter().cloned());
        match self.said {
            SaidBy::Handshake => lines.extend(HANDSHAKE.map(str::to_owned)),
            _ if self.lines.iter().any(|line| line.starts_with("Connection:")) => {}
            _ => lines.push("Connection: close".to_owned()),
        }
        lines
    }
}

const HANDSHAKE: [&str; 4] = [
    "Connection: Upgrade, close",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// All of them.
pub fn attacks() -> Vec<Attack> {
    let groups = [
        rebinding(),
        other_pages(),
        foreign_sockets(),
        without_the_token(),
        ways_out(),
        smuggling(),
        redirects(),
        claims(),
        cookies(),
        workers(),
        no_tunnels(),
        repeats(),
        words(),
        api_paths(),
        frames(),
    ];
    groups.into_iter().flatten().collect()
}

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

fn rebinding() -> Vec<Attack> {
    const HOSTS: [&str; 22] = [
        "evil.example:{PORT}",
        "evil.example",
        "evil.example:9000",
        "{NAME}.evil.example:{PORT}",
        "{NAME}.localhost.evil.example:{PORT}",
        "localhost.evil.example:{PORT}",
        "127.0.0.1.evil.example:{PORT}",
        "evil.localhost:{PORT}",
        "app.{NAMESPACE}.localhost:{PORT}",
        "app--{NAMESPACE}.localhost:{PORT}",
        "xlocalhost:{PORT}",
        "localhostx:{PORT}",
        "127.0.0.2:{PORT}",
        "127.0.0.10:{PORT}",
        "0.0.0.0:{PORT}",
        "127.1:{PORT}",
        "2130706433:{PORT}",
        "0x7f000001:{PORT}",
        "0177.0.0.1:{PORT}",
        "[::2]:{PORT}",
        "[::ffff:127.0.0.2]:{PORT}",
        "app.{NAMESPACE}.svc.cluster.local",
    ];
    let named = |method| {
        let one =
            move |host| Attack::new(1, "a name that leads here", method, "{BASE}/").lines([format!("Host: {host}")]);
        HOSTS.into_iter().map(one)
    };
    let raw = [
        ("GET", "{BASE}/", &[][..]),
        ("GET", "{BASE}/", &["Host:"]),
        ("GET", "{BASE}/", &["Host: {HOST}", "Host: evil.example"]),
        ("GET", "{BASE}/", &["Host: evil.example", "Host: {HOST}"]),
        ("GET", "{BASE}/", &["Host: {HOST}, evil.example"]),
        ("GET", "{BASE}/", &["Host: me@{HOST}"]),
        ("GET", "{BASE}/", &["Host: {HOST}/evil"]),
        ("GET", "{BASE}/", &["Host: {HOST}#evil"]),
        ("GET", "{BASE}/", &["Host: {HOST}x"]),
        ("GET", "{BASE}/", &["Host: {NAME}:0"]),
        ("GET", "{BASE}/", &["Host: {NAME}:99999"]),
        ("GET", "http://evil.example{BASE}/", &["Host: {HOST}"]),
        ("GET", "http://evil.example{BASE}/", &["Host: evil.example"]),
        ("CONNECT", "evil.example:443", &["Host: {HOST}"]),
        ("OPTIONS", "*", &["Host: {HOST}"]),
    ];
    let raw = raw.into_iter().map(|(method, target, lines)| {
        Attack::new(1, "no one name", method, target).lines(lines.iter().copied()).said(SaidBy::Http1WithoutHost)
    });
    named("GET").chain(named("POST")).chain(raw).collect()
}

fn other_pages() -> Vec<Attack> {
    const HOW: [[&str; 2]; 3] = [
        ["Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
        ["Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"],
        ["Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"],
    ];
    const ORIGINS: [&str; 7] = [
        "http://evil.example",
        "https://evil.example",
        "null",
        "http://localhost:3000",
        "http://evil.localhost:{PORT}",
        "{ORIGIN}.evil.example",
        "http://{NAME}:1",
    ];
    let mut all = Vec::new();
    for method in METHODS {
        for site in ["cross-site", "same-site"] {
            all.extend(HOW.map(|how| {
                let fetch = Attack::new(2, "another page's fetch", method, "{BASE}/");
                fetch.lines([format!("Sec-Fetch-Site: {site}")]).lines(how)
            }));
        }
        all.extend(ORIGINS.map(|origin| {
            Attack::new(2, "another page, by its origin", method, "{BASE}/").lines([format!("Origin: {origin}")])
        }));
    }
    let form = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    for origin in [Some("Origin: http://evil.example"), Some("Origin: null"), None] {
        let post = Attack::new(2, "another page's form", "POST", "{BASE}/").lines(form).lines(origin);
        all.push(post.lines(["Content-Type: text/plain"]));
    }
    for purpose in ["Sec-Purpose: prefetch", "Sec-Purpose: prefetch;prerender", "Purpose: prefetch", "X-Moz: prefetch"]
    {
        all.push(Attack::new(2, "fetched ahead", "GET", "{BASE}/").lines(form).lines([purpose]));
    }
    all
}

fn foreign_sockets() -> Vec<Attack> {
    const ORIGINS: [Option<&str>; 9] = [
        Some("http://evil.example"),
        Some("https://evil.example"),
        Some("null"),
        Some("http://localhost"),
        Some("http://localhost:3000"),
        Some("http://evil.localhost:{PORT}"),
        Some("{ORIGIN}.evil.example"),
        Some("file://"),
        None,
    ];
    let open = |origin: Option<&str>| {
        let socket = Attack::new(3, "another page's WebSocket", "GET", "{BASE}/socket").said(SaidBy::Handshake);
        socket.lines(origin.map(|origin| format!("Origin: {origin}")))
    };
    let twice = open(Some("{ORIGIN}")).lines(["Origin: http://evil.example"]);
    ORIGINS.into_iter().map(open).chain([twice]).collect()
}

fn without_the_token() -> Vec<Attack> {
    let guess = "00000000000000000000000000000000";
    let lines = [
        "X-Nothing: 1".to_owned(),
        "Cookie: {COOKIE_NAME}=guess".to_owned(),
        format!("Cookie: {{COOKIE_NAME}}={guess}"),
        "Cookie: {COOKIE_NAME}=".to_owned(),
        "Cookie: x{COOKIE}".to_owned(),
        "Cookie: {COOKIE}0".to_owned(),
        "Authorization: Bearer guess".to_owned(),
    ];
    let mut all = Vec::new();
    for method in ["GET", "POST"] {
        let told = lines.iter().map(|line| Attack::new(4, "no session", method, "{BASE}/").lines([line.clone()]));
        let asked = ["guess", guess, ""];
        let asked = asked.map(|token| Attack::new(4, "no token", method, format!("{{BASE}}/?svcproxy-token={token}")));
        all.extend(told.chain(asked).map(|attack| attack.at(AttackStage::Token)));
    }
    let socket = Attack::new(4, "a WebSocket without a session", "GET", "{BASE}/socket").lines(["Origin: {ORIGIN}"]);
    all.push(socket.said(SaidBy::Handshake).at(AttackStage::Token));
    all
}

fn ways_out() -> Vec<Attack> {
    const PATHS: [&str; 34] = [
        "/..",
        "/../x",
        "/%2e%2e/x",
        "/%2E%2E/x",
        "/.%2e/x",
        "/%2e./x",
        "/..%2fx",
        "/..%2Fx",
        "/%2e%2e%2f",
        "/%2e%2e%2fx",
        "/a/%2E./b",
        "/a/../../x",
        "/./x",
        "/%2e/x",
        "/a//../b",
        "/..;/x",
        "/..;a=b/x",
        "/..%3b/x",
        "/..%5cx",
        "/%2e%2e%5cx",
        "/..%252fx",
        "/%252e%252e/x",
        "/%252e%252e%252fx",
        "/%25252e%25252e/x",
        "/%c0%ae%c0%ae/x",
        "/%e0%80%ae%e0%80%ae/x",
        "/%00",
        "/a%00/../x",
        "/%0d%0aX:1",
        "/%zz",
        "/../../../../secrets",
        "/..%2f..%2f..%2f..%2f..%2fsecrets",
        "/../../other:http/proxy/stolen",
        "/..%2f..%2fother:http%2fproxy%2fstolen",
    ];
    // No URL may hold these, so a client of HTTP/2 that checks what it sends does not say them.
    const ODD: [&str; 4] = ["/..\\x", "/..\\..\\other:http\\proxy\\stolen", "/..\tx", "/..\u{1}/x"];
    let from = |start: &'static str| {
        let one = move |path: &str| Attack::new(5, "a way out of the Service", "GET", format!("{start}{path}"));
        PATHS.into_iter().map(one).chain(ODD.into_iter().map(move |path| one(path).said(SaidBy::Http1)))
    };
    let writes = ["/../../other:http/proxy/stolen", "/..%2f..%2fother:http%2fproxy%2fstolen", "/%2e%2e/%2e%2e/x"];
    let writes = writes.map(|path| Attack::new(5, "a way out of the Service", "POST", format!("{{BASE}}{path}")));
    from("{BASE}").chain(from("{PROXY}")).chain(writes).collect()
}

/// What is to be taken for a request of its own.
const SMUGGLED: &str = "0\r\n\r\nGET {BASE}/smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n";

fn smuggling() -> Vec<Attack> {
    const HEADS: [&[&str]; 20] = [
        &["Content-Length: 5", "Transfer-Encoding: chunked"],
        &["Transfer-Encoding: chunked", "Content-Length: 5"],
        &["Content-Length: 5", "Content-Length: 6"],
        &["Content-Length: 5, 6"],
        &["Content-Length: +5"],
        &["Content-Length: 0x5"],
        &["Content-Length: -5"],
        &["Transfer-Encoding: xchunked"],
        &["Transfer-Encoding: chunked, identity"],
        &["Transfer-Encoding: identity, chunked"],
        &["Transfer-Encoding: chunked, chunked"],
        &["Transfer-Encoding: gzip, chunked"],
        &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        &["Transfer-Encoding : chunked"],
        &["Transfer-Encoding:\r\n chunked"],
        &["Transfer-Encoding:\tchunked"],
        &["Transfer_Encoding: chunked", "Content-Length: 5"],
        &["X: y\r\n\tContent-Length: 5"],
        &["X: y\nTransfer-Encoding: chunked", "Content-Length: 5"],
        &["Connection: close, content-length", "Content-Length: 5"],
    ];
    let body = |lines: &[&str]| {
        let post = Attack::new(6, "two requests in one", "POST", "{BASE}/first").lines(lines.iter().copied());
        post.body(SMUGGLED).said(SaidBy::Http1).harm(Harm::Smuggled)
    };
    let upgrade = |lines: &[&str], heard| {
        let get = Attack::new(6, "an upgrade that is none", "GET", "{BASE}/upgrade").lines(lines.iter().copied());
        get.said(SaidBy::Http1).app_says(200, &[]).harm(Harm::AppHears(heard))
    };
    let upgrades = [
        upgrade(&["Connection: close, Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"], "h2c"),
        upgrade(&["Connection: close, Upgrade", "Upgrade: SPDY/3.1"], "SPDY"),
        upgrade(&["Connection: close, x-upgrade-y", "Upgrade: websocket"], "websocket"),
        upgrade(&["Connection: close, Upgrade", "Upgrade: TLS/1.0"], "TLS"),
    ];
    let injected = Attack::new(6, "a line end in a path", "GET", "{BASE}/a%0d%0aX-Claim:%20forged");
    let injected = injected.harm(Harm::AppHears("\"x-claim\""));
    HEADS.into_iter().map(body).chain(upgrades).chain([injected]).collect()
}

fn redirects() -> Vec<Attack> {
    const NAMES: [(&str, &str); 3] = [("location", ""), ("content-location", ""), ("refresh", "0; url=")];
    const PLACES: [&str; 6] = [
        "{PROXY}//evil.example/",
        "{PROXY}/\\evil.example/",
        "{PROXY}/%2f/evil.example/",
        "{PROXY}///evil.example/",
        "{ORIGIN}{PROXY}//evil.example/",
        "{API}{PROXY}//evil.example/",
    ];
    let mut all = Vec::new();
    for (number, (place, (name, before))) in PLACES.iter().flat_map(|place| NAMES.map(|name| (place, name))).enumerate()
    {
        let status = if name == "location" { 302 } else { 200 };
        let get = Attack::new(7, "led away by what is cut off", "GET", format!("{{BASE}}/led-{number}"));
        all.push(get.app_says(status, &[(name, &format!("{before}{place}"))]).harm(Harm::LedAway));
    }
    all
}

fn claims() -> Vec<Attack> {
    const IDENTITIES: [&[&str]; 18] = [
        &["Impersonate-User: forged"],
        &["impersonate-user: forged"],
        &["Impersonate-User: forged", "Impersonate-Group: system:authenticated"],
        &["Impersonate-User: forged", "Impersonate-Uid: 0"],
        &["Impersonate-User: forged", "Impersonate-Extra-scopes: all"],
        &["Impersonate-User: system:serviceaccount:default:forged"],
        &["Impersonate_User: forged"],
        &["X-Remote-User: forged"],
        &["X-Remote-Group: forged"],
        &["X-Remote-Extra-Scopes: forged"],
        &["X-Remote-Uid: forged"],
        &["Remote-User: forged"],
        &["Remote_User: forged"],
        &["X_Remote_User: forged"],
        &["Proxy-Authorization: Bearer forged"],
        &["X-Original-URL: /forged"],
        &["X-Rewrite-URL: /forged"],
        &["X_Rewrite_URL: /forged"],
    ];
    const AUDITS: [&str; 7] = [
        "Audit-Id: forged",
        "X-Forwarded-For: forged",
        "X-Forwarded-Host: forged",
        "X-Forwarded-Uri: /forged",
        "X-Real-Ip: forged",
        "Forwarded: for=forged",
        "Connection: close, x-mine, authorization",
    ];
    let mut all = Vec::new();
    for method in ["GET", "POST"] {
        let claim = |threat, tries| Attack::new(threat, tries, method, "{BASE}/claim").harm(Harm::Claim);
        all.extend(IDENTITIES.map(|lines| claim(8, "an identity of its choice").lines(lines.iter().copied())));
        all.extend(AUDITS[..6].iter().map(|line| claim(9, "a false trace").lines([*line])));
        all.extend(["Bearer forged", "Basic Zm9yZ2VkOmZvcmdlZA=="].map(|login| {
            let login = claim(8, "another login").lines([format!("Authorization: {login}")]);
            login.harm(Harm::Identity)
        }));
    }
    let dropped = Attack::new(8, "our login taken off", "GET", "{BASE}/claim").lines([AUDITS[6]]);
    all.push(dropped.said(SaidBy::Http1).harm(Harm::Identity));
    let subprotocol = Attack::new(8, "a token as a subprotocol", "GET", "{BASE}/socket").said(SaidBy::Handshake);
    let token = "Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.Zm9yZ2Vk, chat";
    let heard = Harm::AppHears("bearer.authorization");
    all.push(subprotocol.lines(["Origin: {ORIGIN}", token]).harm(heard));
    all
}

fn cookies() -> Vec<Attack> {
    let set = |number: usize, cookie: &str, says| {
        let get = Attack::new(10, "a cookie for other Services", "GET", format!("{{BASE}}/toss-{number}"));
        get.app_says(200, &[("set-cookie", cookie)]).harm(Harm::AnswerSays(says))
    };
    let mut all = vec![
        set(1, "app=1; Domain=localhost; Path=/", "domain="),
        set(2, "app=1; domain=.localhost; Path=/", "domain="),
        set(3, "app=1; Path=/; DOMAIN=LOCALHOST", "domain="),
        set(4, "app=1; Domain=\"localhost\"", "domain="),
        set(5, "{COOKIE_NAME}=evil; Path=/", "=evil").at(AttackStage::Session),
        set(6, " {COOKIE_NAME} =evil; Path=/", "=evil").at(AttackStage::Session),
    ];
    let doubled: [&[&str]; 4] = [
        &["Cookie: {COOKIE_NAME}=evil; {COOKIE}"],
        &["Cookie: {COOKIE}; {COOKIE_NAME}=evil"],
        &["Cookie: {COOKIE_NAME}=evil", "Cookie: {COOKIE}"],
        &["Cookie: {COOKIE}; {COOKIE}"],
    ];
    all.extend(doubled.map(|lines| {
        let two = Attack::new(10, "two sessions", "GET", "{BASE}/").lines(lines.iter().copied());
        two.at(AttackStage::Session)
    }));
    let told: [&[&str]; 4] = [
        &["Cookie: {COOKIE}"],
        &["Cookie: a=1; {COOKIE}; b=2"],
        &["Cookie: a=1", "Cookie: {COOKIE}"],
        &["Cookie: {COOKIE};a=1"],
    ];
    for lines in told {
        let leak = |method| {
            let one = Attack::new(11, "the app learns the session", method, "{BASE}/").lines(lines.iter().copied());
            one.at(AttackStage::Session).harm(Harm::AppHears("svcproxy-session"))
        };
        all.extend(["GET", "POST"].map(leak));
    }
    let socket = Attack::new(11, "the app learns the session", "GET", "{BASE}/socket").said(SaidBy::Handshake);
    let socket = socket.lines(["Origin: {ORIGIN}", "Cookie: {COOKIE}"]).at(AttackStage::Session);
    all.push(socket.harm(Harm::AppHears("svcproxy-session")));
    all
}

fn workers() -> Vec<Attack> {
    let mut all = Vec::new();
    for target in ["{BASE}/worker.js", "{BASE}/deep/worker.js", "{PROXY}/worker.js"] {
        let worker = Attack::new(12, "a service worker where others are", "GET", target);
        let lines = ["Service-Worker: script", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: serviceworker"];
        all.push(worker.lines(lines).at(AttackStage::SharedOrigin));
    }
    let wide = Attack::new(12, "a service worker for all", "GET", "{BASE}/wide.js").at(AttackStage::SharedOrigin);
    all.push(wide.app_says(200, &[("service-worker-allowed", "/")]).harm(Harm::AnswerSays("service-worker-allowed")));
    for label in ["app--{NAMESPACE}--aaaaaaaaaaaaa", "app--{NAMESPACE}--aaaaaa", "other--{NAMESPACE}--aaaaaaaaaaaaa"] {
        let stale = |method| Attack::new(12, "the name at another cluster", method, "{BASE}/");
        all.extend(["GET", "POST"].map(|method| stale(method).lines([format!("Host: {label}.localhost:{{PORT}}")])));
    }
    all
}

/// Handshakes that are not agreed to, with a request behind them.
fn no_tunnels() -> Vec<Attack> {
    const BEHIND: &str = "GET {BASE}/smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n";
    let one = |(number, status): (usize, u16)| {
        let get = Attack::new(14, "a tunnel without a 101", "GET", format!("{{BASE}}/tunnel-{number}"));
        let get = get.said(SaidBy::Http1).lines(["Origin: {ORIGIN}"]).lines(HANDSHAKE).body(BEHIND);
        get.app_says(status, &[("x-mine", "1")]).harm(Harm::Smuggled)
    };
    [200, 204, 302, 400, 401, 403, 426, 500, 503].into_iter().enumerate().map(one).collect()
}

fn repeats() -> Vec<Attack> {
    let mut all = Vec::new();
    for (number, status) in [500, 502, 503, 504, 429, 408].into_iter().enumerate() {
        let post = Attack::new(15, "a POST done twice", "POST", format!("{{BASE}}/again-{number}")).body("x=1");
        let post = post.lines(["Content-Length: 3"]);
        all.push(post.app_says(status, &[("retry-after", "0")]).harm(Harm::Twice));
    }
    for (number, method) in ["GET", "POST", "DELETE"].into_iter().enumerate() {
        let refused = Attack::new(21, "a 401 of the app's own", method, format!("{{BASE}}/login-{number}"));
        all.push(refused.app_says(401, &[("www-authenticate", "Basic realm=\"app\"")]).harm(Harm::Twice));
    }
    all
}

/// What is shown, and what is logged.
fn words() -> Vec<Attack> {
    const HOSTILE: [&str; 3] = ["e\u{9b}2Jvil", "e\u{202e}vil", "e\u{85}vil"];
    const SECRETS: [(&str, &str, &str); 6] = [
        ("{BASE}/", "Authorization: Basic s3cretBasic", "s3cretBasic"),
        ("{BASE}/", "Authorization: Bearer s3cretBearer", "s3cretBearer"),
        ("{BASE}/", "Cookie: app=s3cretCookie", "s3cretCookie"),
        ("{BASE}/?password=s3cretPassword", "X-Mine: 1", "s3cretPassword"),
        ("{BASE}/?access_token=s3cretAccess&b=1", "X-Mine: 1", "s3cretAccess"),
        ("{BASE}/?svcproxy-token=s3cretToken", "X-Mine: 1", "s3cretToken"),
    ];
    let mut all = Vec::new();
    for hostile in HOSTILE {
        for line in ["Host: ", "Origin: http://", "Referer: http://"] {
            let get = Attack::new(17, "words to a terminal", "GET", "{BASE}/words").lines([format!("{line}{hostile}")]);
            all.push(get.app_says(200, &[]).said(SaidBy::Http1).harm(Harm::Obeyed));
        }
    }
    for (target, line, secret) in SECRETS {
        for method in ["GET", "POST"] {
            let told = Attack::new(18, "a secret in the log", method, target).lines([line]);
            all.push(told.harm(Harm::Logged(secret)));
        }
    }
    all
}

fn api_paths() -> Vec<Attack> {
    const READ: [&str; 21] = [
        "/version",
        "/api",
        "/apis",
        "/openapi/v3",
        "/metrics",
        "/api/v1",
        "/api/v1/secrets",
        "/api/v1/namespaces",
        "/api/v1/nodes",
        "/api/v1/namespaces/{NAMESPACE}/secrets",
        "/api/v1/namespaces/{NAMESPACE}/secrets/kept",
        "/api/v1/namespaces/{NAMESPACE}/pods",
        "/api/v1/namespaces/{NAMESPACE}/services/app",
        "/api/v1/namespaces/{NAMESPACE}/services/other",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "{OTHER}/stolen",
        "{OTHER}/",
        "{OTHER}/?x=1",
        "/api/v1/proxy{OTHER}/stolen",
        "/API/v1/namespaces/{NAMESPACE}/secrets",
        "//api/v1/namespaces/{NAMESPACE}/secrets",
    ];
    let mut all: Vec<_> = READ.map(|target| Attack::new(20, "another path of the API server", "GET", target)).into();
    let secret = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"generateName":"made-"}}"#;
    let review = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
    for (target, body) in [
        ("/api/v1/namespaces/{NAMESPACE}/secrets", secret),
        ("/apis/authentication.k8s.io/v1/selfsubjectreviews", review),
        ("{OTHER}/stolen", ""),
    ] {
        let lines = ["Content-Type: application/json".to_owned(), format!("Content-Length: {}", body.len())];
        all.push(Attack::new(20, "a write to the API server", "POST", target).lines(lines).body(body));
    }
    all.push(Attack::new(20, "a write to the API server", "DELETE", "/api/v1/namespaces/{NAMESPACE}/secrets/kept"));
    for (number, status) in [301, 302, 303, 307, 308].into_iter().enumerate() {
        for (which, place) in ["/api/v1/namespaces/{NAMESPACE}/secrets", "{API}{OTHER}/stolen"].into_iter().enumerate()
        {
            let led = Attack::new(20, "led to the API server", "GET", format!("{{BASE}}/to-api-{number}-{which}"));
            all.push(led.app_says(status, &[("location", place)]));
        }
    }
    all.into_iter().map(|attack| attack.harm(Harm::Beyond)).collect()
}

fn frames() -> Vec<Attack> {
    let mut all = Vec::new();
    for destination in ["iframe", "frame", "embed", "object", "fencedframe"] {
        for site in ["cross-site", "same-site"] {
            for target in ["{BASE}/", "{BASE}/a?b=c"] {
                let lines = [format!("Sec-Fetch-Dest: {destination}"), format!("Sec-Fetch-Site: {site}")];
                let framed = Attack::new(24, "shown in another page", "GET", target);
                all.push(framed.lines(lines).lines(["Sec-Fetch-Mode: navigate"]));
            }
        }
    }
    all
}
