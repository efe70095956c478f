//! Doc comments as descriptions.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The text of an item's doc comment, without the space that stands before all of its lines.
pub(crate) fn description(attributes: &[Attribute]) -> Option<String> {
    let text: Vec<String> = attributes.iter().filter_map(text).collect();
    let lines: Vec<&str> = text.iter().flat_map(|text| text.split('\n')).collect();
    let indentation = |line: &&str| line.len() - line.trim_start().len();
    let written = lines.iter().filter(|line| !line.trim().is_empty());
    let margin = written.map(indentation).min().unwrap_or(0);
    let lines: Vec<&str> =
        lines.iter().map(|line| line.get(margin..).unwrap_or("").trim_end()).collect();
    let text = lines.join("\n").trim_matches('\n').to_owned();
    (!text.is_empty()).then_some(text)
}

fn text(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(doc) if doc.path.is_ident("doc") => match &doc.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use syn::{ItemStruct, parse_quote};

    use super::description;

    #[test]
    fn the_text_keeps_its_inner_indentation() {
        let item: ItemStruct = parse_quote! {
            /// Moves a piece:
            ///
            ///     e2 e4
            #[derive(Clone)]
            struct Move;
        };
        assert_eq!(description(&item.attrs).as_deref(), Some("Moves a piece:\n\n    e2 e4"));
        assert_eq!(description(&[]), None);
    }
}
