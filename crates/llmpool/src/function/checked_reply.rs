//! Reads a reply as the value of a function, and checks it.

use llmpool_core::chat::ChatCompletion;
use llmpool_core::structured::ReplySchema;
use serde::de::DeserializeOwned;

use super::error::FunctionError;

/// Checks a value that the model wrote. The error is shown to the model.
pub(super) type Check<T> = Box<dyn Fn(&T) -> Result<(), String> + Send + Sync>;

/// Reads the value of a reply, and checks it.
pub(super) fn read<T: DeserializeOwned>(
    schema: &ReplySchema,
    completion: &ChatCompletion,
    check: Option<&Check<T>>,
) -> Result<T, FunctionError> {
    let value = schema
        .parse(completion)
        .map_err(|error| FunctionError::of_reply(&error, completion.text()))?;
    let checked = check.map_or(Ok(()), |check| check(&value));
    checked.map_err(|reason| FunctionError::rejected(completion.text(), reason))?;
    Ok(value)
}
