//! The defaults as a configuration: each key with what its definition says of it.
//!
//! The words and numbers are those of the doc comments at the fields. A test reads what is printed, and
//! compares it with the defaults of the code.

const TOP: &str = include_str!("../../config.rs");
const TENANTS: &str = include_str!("../../tenant/mod.rs");
const LIMITS: &str = include_str!("../../limits.rs");

/// A field of a struct, as its source has it.
struct Field {
    key: String,
    docs: Vec<String>,
}

/// The public fields of `pub struct {name}` in `source`.
fn fields(source: &str, name: &str) -> Vec<Field> {
    let begin = format!("pub struct {name} {{");
    let lines = source.lines().skip_while(|line| *line != begin).skip(1);
    let (mut fields, mut docs) = (Vec::new(), Vec::new());
    for line in lines.take_while(|line| *line != "}").map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            docs.push(doc.trim().to_owned());
        } else if let Some((field, _)) = line.strip_prefix("pub ").and_then(|l| l.split_once(':')) {
            fields.push(Field {
                key: field.replace('_', "-"),
                docs: std::mem::take(&mut docs),
            });
        }
    }
    fields
}

/// The default that a doc comment names, as TOML: `Default 64 MiB.` is `"64MiB"`, `Default 20,000.` is `20000`.
fn default_of(docs: &[String]) -> Option<String> {
    let docs = docs.join(" ");
    let (_, said) = docs.rsplit_once("Default ")?;
    let said = said.strip_suffix('.')?.replace([',', ' ', '`'], "");
    match said.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Some(said),
        false => Some(format!("{said:?}")),
    }
}

/// Every key with its docs above it; one without a default is a comment.
fn section(out: &mut String, fields: &[Field], commented: bool) {
    for Field { key, docs } in fields {
        out.push('\n');
        for doc in docs {
            out.push_str(&format!("# {doc}\n"));
        }
        match default_of(docs) {
            Some(default) if !commented => out.push_str(&format!("{key} = {default}\n")),
            _ => out.push_str(&format!("# {key} =\n")),
        }
    }
}

/// The whole configuration.
pub(super) fn text() -> String {
    let mut out =
        "# All keys of a configuration, with their defaults. Keys without one are comments.\n"
            .to_owned();
    let mut top = fields(TOP, "ConfigFile");
    top.retain(|field| !["limits", "tenants"].contains(&field.key.as_str()));
    section(&mut out, &top, false);
    out.push_str("\n[limits]\n");
    section(&mut out, &fields(LIMITS, "Limits"), false);
    out.push_str("\n# A table for each tenant that is to have less than the platform allows to all:\n# [tenants.NAME]\n");
    section(&mut out, &fields(TENANTS, "TenantFile"), true);
    out
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use webtask_host::{ConfigFile, Limits};

    use super::*;

    #[test]
    fn the_printed_defaults_are_the_defaults() {
        let printed = text();
        let read = ConfigFile::parse(&printed).unwrap();
        // Not by leaving a limit out: each is there with its value.
        let limits = fields(LIMITS, "Limits");
        assert!(limits.len() > 30, "{}", limits.len());
        for field in &limits {
            let default = default_of(&field.docs);
            assert!(
                default.is_some(),
                "{} does not end with its default",
                field.key
            );
            assert!(printed.contains(&format!("\n{} = {}\n", field.key, default.unwrap())));
        }
        assert_eq!(
            format!("{:?}", read.limits),
            format!("{:?}", Limits::default())
        );
        assert_eq!(format!("{read:?}"), format!("{:?}", ConfigFile::default()));
        // And a key of every struct is known.
        for (source, name, least) in [(TOP, "ConfigFile", 9), (TENANTS, "TenantFile", 6)] {
            let fields = fields(source, name);
            assert!(fields.len() >= least, "{name}");
            assert!(fields.iter().all(|field| !field.docs.is_empty()), "{name}");
        }
    }
}
