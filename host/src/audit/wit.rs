//! Worlds as text: WIT that any tool parses by itself, and text of others that can forge none of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::Interface;

/// One world, with a stub of each package that it names: a stub says that an interface is there and
/// leaves what is in it to the package itself.
pub(super) struct Text {
    out: String,
    stubs: BTreeMap<String, BTreeSet<String>>,
}

impl Text {
    /// Begins the world `name`, with what is said about the whole.
    pub(super) fn world(name: &str, docs: &[String]) -> Self {
        let mut text = Self {
            out: "package webtask:audit;\n\n".to_owned(),
            stubs: BTreeMap::new(),
        };
        text.docs("", docs);
        let _ = writeln!(text.out, "world {name} {{");
        text
    }

    /// A comment between the imports.
    pub(super) fn heading(&mut self, text: &str) {
        let _ = writeln!(self.out, "\n  // {}", escape(text));
    }

    /// An import with what is said about it.
    pub(super) fn import(&mut self, interface: &Interface, docs: &[String]) {
        self.item("import", interface, docs);
    }

    /// An export with what is said about it.
    pub(super) fn export(&mut self, interface: &Interface, docs: &[String]) {
        self.item("export", interface, docs);
    }

    fn item(&mut self, word: &str, interface: &Interface, docs: &[String]) {
        self.docs("  ", docs);
        let _ = writeln!(self.out, "  {word} {};", quoted(interface));
        self.stubs
            .entry(versioned(package_id(&interface.package), interface))
            .or_default()
            .insert(interface.name.clone());
    }

    fn docs(&mut self, indent: &str, docs: &[String]) {
        for line in docs {
            let _ = writeln!(self.out, "{indent}/// {}", escape(line));
        }
    }

    /// The end of the world, and the stubs.
    pub(super) fn finish(mut self) -> String {
        self.out.push_str("}\n");
        if !self.stubs.is_empty() {
            self.out.push_str(
                "\n// The interfaces by name alone; what they hold is in their packages.\n",
            );
        }
        for (package, interfaces) in &self.stubs {
            let _ = writeln!(self.out, "package {package} {{");
            for name in interfaces {
                let _ = writeln!(self.out, "  interface {} {{}}", id(name));
            }
            self.out.push_str("}\n");
        }
        self.out
    }
}

fn quoted(interface: &Interface) -> String {
    let path = format!("{}/{}", package_id(&interface.package), id(&interface.name));
    versioned(path, interface)
}

fn versioned(mut path: String, interface: &Interface) -> String {
    if let Some(version) = &interface.version {
        path.push('@');
        path.push_str(version);
    }
    path
}

fn package_id(package: &str) -> String {
    package.split(':').map(id).collect::<Vec<_>>().join(":")
}

/// An identifier; `%` in front of one that is a word of the language.
fn id(name: &str) -> String {
    const WORDS: [&str; 45] = [
        "_",
        "as",
        "async",
        "bool",
        "borrow",
        "char",
        "constructor",
        "enum",
        "error-context",
        "export",
        "f32",
        "f64",
        "flags",
        "float32",
        "float64",
        "from",
        "func",
        "future",
        "import",
        "include",
        "interface",
        "list",
        "map",
        "option",
        "own",
        "package",
        "record",
        "resource",
        "result",
        "s16",
        "s32",
        "s64",
        "s8",
        "static",
        "stream",
        "string",
        "tuple",
        "type",
        "u16",
        "u32",
        "u64",
        "u8",
        "use",
        "variant",
        "world",
    ];
    let sign = if WORDS.contains(&name) || name == "with" {
        "%"
    } else {
        ""
    };
    format!("{sign}{name}")
}

/// `text` in one line of printable characters, and none that a WIT parser refuses in a comment.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let plain = match c {
            ' '..='~' => true,
            // Deprecated letters that WIT does not take.
            '\u{149}' | '\u{673}' | '\u{f77}' | '\u{f79}' | '\u{17a3}' | '\u{17a4}' => false,
            c => c.is_alphanumeric(),
        };
        if plain {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
    }
    out
}
