//! `Location`.

use super::script::{Case, answer, html, unframed};

/// What the Pod says, and what the client gets; "same" is unchanged.
pub(crate) const LOCATIONS: [(&str, &str); 45] = [
    ("/login", "{P}/login"),
    ("/", "{P}/"),
    ("login", "same"),
    ("../x", "same"),
    ("?a=1", "same"),
    ("#f", "same"),
    ("http://{POD}/x?y#z", "{P}/x?y#z"),
    ("https://{POD}/x", "{P}/x"),
    ("http://{POD}/", "{P}/"),
    ("http://{POD}", "same"),
    ("//{POD}/x", "{P}/x"),
    ("http://user@{POD}/x", "//user@{P}/x"),
    ("http://{HOST}/x", "http://{HOST}{P}/x"),
    ("https://{HOST}/x", "https://{HOST}{P}/x"),
    ("//{HOST}/x", "//{HOST}{P}/x"),
    ("https://{HOST}", "same"),
    ("https://{HOST}{P}/x", "same"),
    ("https://user:pw@{HOST}/x", "https://user:pw@{HOST}{P}/x"),
    ("https://API.example:6443/x", "same"),
    ("https://api.example/x", "same"),
    ("http://other/x", "same"),
    ("http://other", "same"),
    ("//other/x", "same"),
    ("///x", "{P}/x"),
    ("//", ""),
    ("javascript:alert(1)", "same"),
    ("mailto:a@b", "same"),
    ("http:/x", "{P}/x"),
    ("HTTP://other/x", "http://other/x"),
    ("http://other/a b", "http://other/a%20b"),
    ("/a%2Fb", "{P}/a/b"),
    ("/a//b", "{P}/a/b"),
    ("/a/", "{P}/a/"),
    ("/a//", "{P}/a/"),
    ("/x/../y", "{P}/y"),
    ("/../up", "/api/v1/namespaces/{NS}/services/named:http/up"),
    ("/a/http://e.com/x", "{P}/a/http:/e.com/x"),
    ("/a%20b", "{P}/a%20b"),
    ("/a;b", "{P}/a;b"),
    ("/\\evil.com", "{P}/%5Cevil.com"),
    ("{P}/q", "same"),
    ("{P}xyz", "same"),
    ("{P}/a%2Fb", "same"),
    ("/a?next=/b//c%2F", "{P}/a?next=/b//c%2F"),
    ("/x?#", "{P}/x?"),
];

pub(crate) fn cases() -> Vec<Case> {
    let rewritten = LOCATIONS.map(|(said, got)| {
        Case::new(format!("Location {said}"), "GET /dir/page")
            .answer(answer("302 Found", &[&format!("Location: {said}")], "ok"))
            .gets(302)
            .gets_header("location", &[if got == "same" { said } else { got }])
            .gets_body("ok")
    });
    let page = "<a href=/x>";
    let mut cases = rewritten.to_vec();
    cases.extend([
        Case::new("an empty Location is none", "GET /")
            .answer(html(&["Location: "], page))
            .gets_header("location", &[""])
            .gets_body("<a href=\"{P}/x\">"),
        Case::new("with a Location the page is left alone", "GET /")
            .answer(unframed("302 Found", &["Location: /y", "Content-Type: text/html", "Content-Encoding: br"], page))
            .gets(302)
            .gets_header("location", &["{P}/y"])
            .gets_body(page),
        Case::new("any status may have a Location", "POST /")
            .body("x")
            .answer(answer("201 Created", &["Location: /y"], ""))
            .gets(201)
            .gets_header("location", &["{P}/y"]),
        Case::new("a Location that is no URL", "GET /")
            .answer(answer("302 Found", &["Location: /%zz"], "ok"))
            .gets_status_with(
                500,
                "InternalError",
                "Internal error occurred: error trying to parse Location header: parse \"/%zz\": invalid URL escape \"%zz\"",
                r#"{"causes":[{"message":"error trying to parse Location header: parse \"/%zz\": invalid URL escape \"%zz\""}]}"#,
            ),
        Case::new("a Location on a path that is not canonical", "GET /a//b")
            .answer(answer("302 Found", &["Location: /x"], "ok"))
            .gets(302)
            .gets_header("location", &["{P}/a/b/x"]),
    ]);
    cases
}
