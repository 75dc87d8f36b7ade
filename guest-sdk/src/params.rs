//! The parameters of the token: text fixed by whoever issued or narrowed it, not secret.
//!
//! The caller cannot change them, so they can be trusted: "this token is for user 42".
use crate::__bindings::wasi::config::store;

/// The parameter `name`, if the token has it.
pub fn get(name: &str) -> Option<String> {
    store::get(name).ok().flatten()
}

/// All parameters, as names and values.
pub fn all() -> Vec<(String, String)> {
    store::get_all().unwrap_or_default()
}
