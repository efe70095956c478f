//! What validator says of a payload, as issues in the names that a client knows.

use std::collections::BTreeMap;

use serde_json::Value;
use validator::{ValidationError, ValidationErrors, ValidationErrorsKind};

use super::{
    issues::{Issue, MAX_ISSUES, elide, join},
    payload::{Field, Payload},
};
use crate::Issues;

/// What validator calls the payload itself: in rules over a whole struct, and in a collection.
const WHOLE: [&str; 2] = ["__all__", "_tmp_validator"];

impl Issues {
    /// What the rules of a payload say.
    pub(crate) fn of_rules(payload: &dyn Payload, errors: &ValidationErrors) -> Self {
        let mut issues = Vec::new();
        walk(Some(payload), errors, "", &mut issues);
        Self::ordered(issues)
    }
}

fn walk(
    payload: Option<&dyn Payload>,
    errors: &ValidationErrors,
    path: &str,
    issues: &mut Vec<Issue>,
) {
    for (name, kind) in errors.errors() {
        if issues.len() >= MAX_ISSUES {
            return;
        }
        let (at, nested) = if WHOLE.contains(&&**name) {
            (path.to_owned(), payload)
        } else {
            match payload.and_then(|payload| payload.field(name)) {
                Some(Field { name: Some(name), nested }) => (join(path, name), nested),
                Some(Field { name: None, nested }) => (path.to_owned(), nested),
                None => (join(path, name.trim_start_matches("r#")), None),
            }
        };
        match kind {
            ValidationErrorsKind::Field(errors) => {
                issues.extend(errors.iter().map(|error| of_rule(&at, error)));
            }
            ValidationErrorsKind::Struct(errors) => walk(nested, errors, &at, issues),
            ValidationErrorsKind::List(list) => {
                for (&index, errors) in list {
                    if issues.len() >= MAX_ISSUES {
                        return;
                    }
                    let element = nested.and_then(|nested| nested.element(index));
                    let at = match element.as_ref().and_then(|element| element.key.as_deref()) {
                        Some(key) => join(&at, key),
                        None => format!("{at}[{index}]"),
                    };
                    walk(element.map(|element| element.payload), errors, &at, issues);
                }
            }
        }
    }
}

fn of_rule(path: &str, error: &ValidationError) -> Issue {
    // `value` is the rejected value, `other` the one that it had to match.
    let params: BTreeMap<String, Value> = error
        .params
        .iter()
        .filter(|(name, _)| *name != "value" && *name != "other")
        .map(|(name, value)| (name.clone().into_owned(), value.clone()))
        .collect();
    let message = match &error.message {
        Some(message) => message.clone().into_owned(),
        None => describe(&error.code, &params),
    };
    Issue { path: elide(path), code: error.code.clone(), message, params }
}

fn describe(code: &str, params: &BTreeMap<String, Value>) -> String {
    let param = |name: &str| params.get(name).map(ToString::to_string);
    match code {
        "length" => match (param("equal"), param("min"), param("max")) {
            (Some(equal), ..) => format!("must have a length of {equal}"),
            (_, Some(min), Some(max)) => format!("must have a length of {min} to {max}"),
            (_, Some(min), None) => format!("must have a length of at least {min}"),
            (_, None, Some(max)) => format!("must have a length of at most {max}"),
            (_, None, None) => "has a wrong length".to_owned(),
        },
        "range" => {
            let bounds = [
                ("at least", param("min")),
                ("more than", param("exclusive_min")),
                ("at most", param("max")),
                ("less than", param("exclusive_max")),
            ];
            let bounds: Vec<String> = bounds
                .into_iter()
                .filter_map(|(words, bound)| Some(format!("{words} {}", bound?)))
                .collect();
            format!("must be {}", bounds.join(" and "))
        }
        "email" => "must be an email address".to_owned(),
        "url" => "must be a URL".to_owned(),
        "required" => "is required".to_owned(),
        "must_match" => "does not match".to_owned(),
        "contains" => format!("must contain {}", param("needle").unwrap_or_default()),
        "does_not_contain" => format!("must not contain {}", param("needle").unwrap_or_default()),
        "non_control_character" => "must not contain control characters".to_owned(),
        "regex" => "does not have the expected form".to_owned(),
        code => format!("breaks the rule `{code}`"),
    }
}
