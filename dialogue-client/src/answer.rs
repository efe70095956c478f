//! What the server answers: yes and what was asked for, or no and why.

use dialogue::protocol::{ErrorCode, Failure};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Failed, Refusal};

/// What an acknowledgement holds, or why the server refused.
pub(crate) fn accept(data: &RawValue) -> Result<&RawValue, Refusal> {
    #[derive(Deserialize)]
    struct Outcome {
        ok: bool,
    }
    match serde_json::from_str(data.get()) {
        Ok(Outcome { ok: true }) => Ok(data),
        Ok(Outcome { ok: false }) => Err(Refusal::parse(data.get())),
        Err(_) => {
            let message = "the server's answer is none; is it a Dialogue server?";
            Err(Failure::new(ErrorCode::Internal, message).into())
        }
    }
}

pub(crate) fn read<'a, T: Deserialize<'a>>(data: &'a RawValue) -> Result<T, Failed> {
    serde_json::from_str(data.get()).map_err(|error| Failed::Unreadable(error.to_string()))
}
