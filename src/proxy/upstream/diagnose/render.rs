//! An explanation as an answer: a page, text, or JSON in the API server's shape.

use std::fmt::Write as _;

use http::header::REFRESH;
use http::{HeaderValue, Response};

use super::explanation::{Explanation, SuggestedCheck};
use crate::message::client_kind::{ClientKind, RequestingClient};
use crate::proxy::page::{self, AnswerForm, ERROR_HEADER, escaped};
use crate::proxy::upstream::Body;

impl Explanation {
    /// The answer for `asker`, with the explanation's status.
    pub fn answer(&self, asker: RequestingClient) -> Response<Body> {
        let (kind, body) = match asker.reader {
            ClientKind::Browser => (AnswerForm::Page, self.page(asker.may_repeat)),
            ClientKind::Program if asker.wants_json => (AnswerForm::Json, self.json()),
            ClientKind::Program | ClientKind::Terminal => (AnswerForm::Text, self.text()),
        };
        let mut response = page::answer(self.code, kind, body);
        let headers = response.headers_mut();
        headers.insert(ERROR_HEADER, HeaderValue::from_static(self.word));
        if let (ClientKind::Browser, true, Some(again)) = (asker.reader, asker.may_repeat, self.again) {
            headers.insert(REFRESH, HeaderValue::from(again.as_secs()));
        }
        response
    }

    /// For a terminal.
    fn text(&self) -> String {
        let mut text = format!("{}.\n", self.title);
        for line in self.text.lines() {
            let _ = writeln!(text, "{line}");
        }
        for check in &self.checks {
            let _ = match &check.command {
                Some(command) => writeln!(text, "  {}:  {command}", check.text),
                None => writeln!(text, "  {}", check.text),
            };
        }
        if let Some(original) = &self.original {
            let _ = writeln!(text, "({original})");
        }
        text
    }

    /// For a program: what an API server would say.
    fn json(&self) -> String {
        let message = match &self.original {
            Some(original) => format!("{}: {original}", self.title),
            None => self.title.clone(),
        };
        serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": "ServiceUnavailable", "code": self.code.as_u16(),
        })
        .to_string()
    }

    /// For a browser.
    fn page(&self, may_repeat: bool) -> String {
        let text: String = paragraphs(&self.text);
        let checks: String = self.checks.iter().map(item).collect();
        let list = if checks.is_empty() { checks } else { format!("<ul class=\"checks\">{checks}</ul>") };
        let original = self.original.as_deref().map(details).unwrap_or_default();
        let again = match self.again {
            Some(_) if may_repeat => "<p class=\"again\">This page looks again every few seconds.</p>",
            _ => "",
        };
        page::page(self.code.as_str(), &self.title, &format!("{text}{list}{original}{again}"))
    }
}

fn paragraphs(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p class=\"why\">{}</p>\n", escaped(text)) }
}

fn item(check: &SuggestedCheck) -> String {
    match &check.command {
        Some(command) => format!("<li>{}<pre>{}</pre></li>\n", escaped(&check.text), words(command)),
        None => format!("<li>{}</li>\n", escaped(&check.text)),
    }
}

/// A command whose lines break between its words only: after the hyphens of `--flag` nobody expects an end.
fn words(command: &str) -> String {
    let words: Vec<String> = command.split(' ').map(|word| format!("<span>{}</span>", escaped(word))).collect();
    words.join(" ")
}

fn details(original: &str) -> String {
    format!("<details><summary>The original message</summary><pre>{}</pre></details>\n", escaped(original))
}
