//! Texts that are served as they are.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode, header},
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

    pub(crate) fn answer(&self, asked: &HeaderMap) -> Response {
        let headers = [
            (header::CONTENT_TYPE, self.kind),
            (header::CACHE_CONTROL, "no-cache"),
            (header::ETAG, &self.tag),
        ];
        if self.is_known(asked) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, self.text.clone()).into_response()
    }

    /// Whether the client has the text: `If-None-Match` compares weakly, and `*` is any text.
    fn is_known(&self, asked: &HeaderMap) -> bool {
        let lists = asked.get_all(header::IF_NONE_MATCH).iter();
        let tags = lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
        let mut tags = tags.map(str::trim);
        tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == self.tag)
    }
}
