//! The id of a room, or the pattern of a family's ids.

use quote::format_ident;
use syn::{Ident, LitStr};

/// `general`, or `doc:{document_id}` with the placeholders in it.
pub(crate) struct Pattern {
    pub(crate) literal: LitStr,
    pub(crate) placeholders: Vec<Ident>,
}

impl Pattern {
    pub(crate) fn is_family(&self) -> bool {
        !self.placeholders.is_empty()
    }

    pub(crate) fn parse(literal: LitStr) -> syn::Result<Self> {
        let text = literal.value();
        let refuse = |problem: String| Err(syn::Error::new(literal.span(), problem));
        match &*text {
            "" => return refuse("a room's id is not empty; choose one like `general`".into()),
            _ if text.len() > 1024 => return refuse("a room's id has at most 1024 bytes".into()),
            _ if text.contains(char::is_control) => {
                return refuse("a room's id has no control characters".into());
            }
            _ => {}
        }
        let mut placeholders: Vec<Ident> = Vec::new();
        for segment in text.split(':') {
            if segment.is_empty() {
                return refuse(format!("the pattern `{text}` has an empty segment beside a `:`"));
            }
            let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
            else {
                if segment.contains(['{', '}']) {
                    return refuse(format!(
                        "a placeholder is a whole segment between `:`, such as `doc:{{id}}`; \
                         `{segment}` is not"
                    ));
                }
                if text.contains('{') && segment.contains(|c: char| !is_unreserved(c)) {
                    return refuse(format!(
                        "the segment `{segment}` of a pattern has characters other than letters, \
                         digits and `-_.`"
                    ));
                }
                continue;
            };
            if syn::parse_str::<Ident>(name).is_err() {
                return refuse(format!("the placeholder `{segment}` does not name a field"));
            }
            let name = format_ident!("{name}", span = literal.span());
            if placeholders.contains(&name) {
                return refuse(format!("the placeholder `{segment}` is there twice"));
            }
            placeholders.push(name);
        }
        Ok(Self { literal, placeholders })
    }
}

fn is_unreserved(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}
