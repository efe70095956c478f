//! Texts that are served as they are.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::{
    body::Bytes,
    extract::Request,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};

/// A text, with a tag by which a client that has it already learns that it is the same.
pub(crate) struct Document {
    kind: &'static str,
    text: Bytes,
    tag: String,
}

impl Document {
    pub(crate) fn javascript(text: &'static str) -> Self {
        Self::new("text/javascript; charset=utf-8", text.into())
    }

    pub(crate) fn json(text: String) -> Self {
        Self::new("application/json", text.into())
    }

    fn new(kind: &'static str, text: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self { kind, text, tag: format!("\"{:x}\"", hasher.finish()) }
    }

    pub(crate) fn answer(&self, request: &Request) -> Response {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return StatusCode::METHOD_NOT_ALLOWED.into_response();
        }
        let headers = [
            (header::CONTENT_TYPE, self.kind),
            (header::CACHE_CONTROL, "no-cache"),
            (header::ETAG, &self.tag),
        ];
        let known = request.headers().get(header::IF_NONE_MATCH);
        if known.is_some_and(|known| known == &*self.tag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, self.text.clone()).into_response()
    }
}
