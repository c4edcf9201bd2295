//! An explanation as an answer: a page, text, or JSON in the API server's shape.

use std::fmt::Write as _;

use http::{HeaderValue, Response};

use super::explanation::{Explanation, FailingService, SuggestedCheck};
use crate::message::client_kind::{ClientKind, RequestingClient};
use crate::proxy::page::{self, AnswerForm, ERROR_HEADER, OwnPage, PageState, copied, escaped};
use crate::proxy::upstream::Body;

impl Explanation {
    /// The answer for `asker` about `subject`, with the explanation's status.
    pub fn answer(&self, asker: RequestingClient, subject: &FailingService) -> Response<Body> {
        let mut response = match asker.reader {
            ClientKind::Browser => self.page(asker.may_repeat, subject),
            ClientKind::Program if asker.wants_json => page::answer(self.code, AnswerForm::Json, &self.json()),
            ClientKind::Program | ClientKind::Terminal => page::answer(self.code, AnswerForm::Text, &self.text()),
        };
        response.headers_mut().insert(ERROR_HEADER, HeaderValue::from_static(self.word));
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
    fn page(&self, may_repeat: bool, subject: &FailingService) -> Response<Body> {
        let text: String = paragraphs(&self.text);
        let checks: String = self.checks.iter().map(item).collect();
        let list = if checks.is_empty() { checks } else { format!("<ul class=\"checks\">\n{checks}</ul>\n") };
        let original = self.original.as_deref().map(details).unwrap_or_default();
        let place = format!("{}/{}", subject.target.namespace, subject.target.service());
        let about: Vec<&str> = subject.context.as_deref().into_iter().chain([&*place]).collect();
        let page = OwnPage {
            about: &about,
            state: if self.again.is_some() { PageState::Waiting } else { PageState::Failed },
            status: self.code,
            title: &self.title,
            content: &format!("{text}{list}{original}"),
            look: self.again.filter(|_| may_repeat),
        };
        page.answer()
    }
}

fn paragraphs(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p class=\"why\">{}</p>\n", escaped(text)) }
}

fn item(check: &SuggestedCheck) -> String {
    match &check.command {
        Some(command) => format!("<li>{}{}</li>\n", escaped(&check.text), copied(command)),
        None => format!("<li>{}</li>\n", escaped(&check.text)),
    }
}

fn details(original: &str) -> String {
    format!("<details><summary>The original message</summary><pre>{}</pre></details>\n", escaped(original))
}
