//! Values out of JSON, forms and queries, and what was wrong with them: where, and what was expected.
use crate::Error;
use serde::de::DeserializeOwned;

/// What was wrong: the path to it, and the format's own words.
pub(crate) struct Wrong(String);

impl Wrong {
    fn new<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>) -> Self {
        let path = error.path().to_string();
        Self(match path.as_str() {
            // The whole value: nothing to point at.
            "." | "?" => error.inner().to_string(),
            path => format!("{path}: {}", error.inner()),
        })
    }

    /// The caller reads what is wrong with a request. What is wrong with a response only the log has.
    pub(crate) fn into_error(self, what: &str, response: bool) -> Error {
        let text = [what, ": ", &self.0].concat();
        match response {
            true => Error::bad_gateway("").with_source(text),
            false => Error::bad_request(text),
        }
    }
}

#[cfg(feature = "json")]
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Wrong> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| Wrong::new(&error))?;
    json.end().map_err(|error| Wrong(error.to_string()))?;
    Ok(value)
}

#[cfg(feature = "form")]
pub(crate) fn form<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Wrong> {
    let form = serde_html_form::Deserializer::from_bytes(bytes);
    serde_path_to_error::deserialize(form).map_err(|error| Wrong::new(&error))
}
