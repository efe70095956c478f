use dialogue::Payload;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::{Validate, ValidationError};

struct Words(Vec<String>);

#[derive(Serialize, Deserialize, JsonSchema, Validate, Payload)]
#[validate(context = Words)]
struct Said {
    #[validate(custom(function = "allowed", use_context))]
    text: String,
}

fn allowed(_: &str, _: &Words) -> Result<(), ValidationError> {
    Ok(())
}

fn main() {}
