//! The id of a room, or the pattern of a family's ids.

use proc_macro2::Span;
use syn::{Ident, LitStr, ext::IdentExt, parse::Parser};

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
            let Some(name) = field_name(name, literal.span()) else {
                return refuse(format!("the placeholder `{segment}` does not name a field"));
            };
            if placeholders.contains(&name) {
                return refuse(format!("the placeholder `{segment}` is there twice"));
            }
            placeholders.push(name);
        }
        Ok(Self { literal, placeholders })
    }
}

/// `name` as a field's name; a keyword as a raw one.
fn field_name(name: &str, span: Span) -> Option<Ident> {
    let parsed = Ident::parse_any.parse_str(name).ok()?;
    if parsed != name || name.starts_with("r#") {
        return None;
    }
    match name {
        "_" | "self" | "Self" | "super" | "crate" => None,
        _ if syn::parse_str::<Ident>(name).is_ok() => Some(Ident::new(name, span)),
        _ => Some(Ident::new_raw(name, span)),
    }
}

fn is_unreserved(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}
