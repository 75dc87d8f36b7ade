//! Components of WASI 0.2 round a core module in text, for what no compiler would make.

use std::path::{Path, PathBuf};

/// A component whose handler is the function `handle` that the core module `core` exports.
///
/// It has debug information: the lines are those of `core`, in a file of the name `name`. What stands in `beside` is
/// part of the component, and `(instance $i)` the core instance; `with` are the arguments that it is made with.
pub fn component(name: &str, core: &str, beside: &str, with: &str) -> Vec<u8> {
    // The first line of the module is the first line of the text.
    let text = format!(
        r#"(component (core module $m {core})
  {beside}
  (import "wasi:http/types@0.2.12" (instance $types
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $out))
  (core instance $i (instantiate $m {with}))
  (func $handle (param "request" (own $request)) (param "response-out" (own $out))
    (canon lift (core func $i "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.12" (instance $handler)))"#
    );
    wat::Parser::new()
        .generate_dwarf(wat::GenerateDwarf::Lines)
        .parse_str(Some(Path::new(name)), &text)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Writes a component into `dir`, where a host may be told to find code.
pub fn written(dir: &Path, name: &str, component: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, component).expect("the directory is writable");
    path
}
