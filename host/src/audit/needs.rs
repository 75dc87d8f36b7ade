//! What a component needs: its imports and exports, and the secrets that it names.
//!
//! Read from its bytes, without compiling or running any of it. Must not know tokens.

use sha2::{Digest as _, Sha256};
use wasmparser::{
    BinaryReaderError, ComponentExternalKind, ComponentTypeRef, Parser, Payload, Validator,
    WasmFeatures,
};

use super::{Interface, Power, Standing, wit};
use crate::{
    Limits,
    loader::not_a_component,
    needs,
    text::{chain, hex, printable},
};

/// Why the needs of a file cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NeedsError {
    /// Visibly no component.
    #[error("it is no component: {0}")]
    NotAComponent(&'static str),
    /// What it says of the secrets that it needs cannot be read.
    #[error("{0}")]
    Secrets(String),
    /// It is broken.
    #[error("it is no valid component")]
    Invalid(#[from] BinaryReaderError),
}

/// What a component needs. See [`Needs::of`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Needs {
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Its bytes.
    pub size: usize,
    /// The interfaces that it imports, sorted by power.
    pub imports: Vec<Interface>,
    /// The interfaces that it exports.
    pub exports: Vec<Interface>,
    /// Imports that are no interface of a package: no runtime of this kind has them.
    pub loose: Vec<String>,
    /// The secrets without which it does not run, as it names them itself.
    pub secrets: Vec<String>,
}

impl Needs {
    /// Reads the component `wasm`. Takes time in proportion to its size.
    ///
    /// # Errors
    /// See [`NeedsError`]; whatever the bytes are, this returns.
    pub fn of(wasm: &[u8]) -> Result<Self, NeedsError> {
        if let Some(reason) = not_a_component(wasm) {
            return Err(NeedsError::NotAComponent(reason));
        }
        Validator::new_with_features(WasmFeatures::all()).validate_all(wasm)?;
        let Outside {
            mut imports,
            loose,
            exports,
        } = Outside::of(wasm)?;
        imports.sort_by_key(|import| (import.standing(), import.power(), import.clone()));
        Ok(Self {
            sha256: Sha256::digest(wasm).into(),
            size: wasm.len(),
            imports,
            exports,
            loose,
            secrets: needs::of(wasm)
                .map_err(|error| NeedsError::Secrets(chain(&error)))?
                .into_iter()
                .collect(),
        })
    }

    /// True if it imports an interface of this power.
    #[must_use]
    pub fn has(&self, power: Power) -> bool {
        self.imports
            .iter()
            .any(|import| import.power() == Some(power))
    }

    /// Why this runtime would refuse to load it, each in words; empty if it would not.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        let newer = |export: &Interface| export.serves() && export.name == "handler";
        let newer = self.exports.iter().any(newer);
        let why = |import: &Interface| {
            let version = import.version.as_deref().unwrap_or_default();
            if import.power().is_none() {
                Some(format!(
                    "imports {import}, which this runtime does not have"
                ))
            } else if version.starts_with("0.3.") && !newer {
                Some(format!(
                    "imports {import}, and exports no handler of WASI 0.3"
                ))
            } else {
                None
            }
        };
        let mut refusals: Vec<_> = self.imports.iter().filter_map(why).collect();
        refusals.extend(
            self.loose
                .iter()
                .map(|name| format!("imports {name}, which is no interface of a package")),
        );
        if !self.exports.iter().any(Interface::serves) {
            let [p2, p3] = Interface::handlers();
            refusals.push(format!(
                "exports neither {p2} nor {p3}: nothing of it can be called"
            ));
        }
        refusals
    }

    /// The world that it needs, as WIT; `name` is what the component is called.
    #[must_use]
    pub fn to_wit(&self, name: &str) -> String {
        let mut docs = vec![
            format!("What {name} needs."),
            format!("{} bytes with SHA-256 {}.", self.size, hex(&self.sha256)),
        ];
        docs.extend(
            self.refusals()
                .iter()
                .map(|why| format!("(!) Is refused: it {why}.")),
        );
        let named = self.secrets.iter();
        docs.extend(named.map(|name| format!("Needs the secret \"{name}\", readable or bound.")));
        let loaded = Limits::default().component_bytes;
        if self.size as u64 > loaded {
            docs.push(format!("(!) Is larger than the {} MiB that runtimes load by default, their limit component-bytes.", loaded >> 20));
        }
        let mut text = wit::Text::world("component", &docs);
        let mut last = None;
        for import in &self.imports {
            let (power, standing) = (import.power(), import.standing());
            if last.is_none_or(|(_, before)| before != standing) {
                text.heading(match standing {
                    Standing::Granted => "Needed: a token has to grant it.",
                    Standing::Always => "Always there, within limits.",
                    Standing::Nothing => {
                        "No power: types, and what language runtimes import and find empty."
                    }
                    Standing::Absent => "Not there: the component is refused.",
                });
            }
            // Said once for all interfaces of a power, which follow each other.
            let told = last == Some((power, standing));
            last = Some((power, standing));
            let docs: Vec<_> = match power {
                Some(power) if !told => vec![power.sentence().to_owned()],
                _ => Vec::new(),
            };
            text.import(import, &docs);
        }
        for name in &self.loose {
            text.heading(&format!("Not there, and no interface: {name}"));
        }
        text.heading("What it offers.");
        for export in &self.exports {
            let docs = if export.serves() {
                "Serves HTTP."
            } else {
                "Never called by this runtime."
            };
            text.export(export, &[docs.to_owned()]);
        }
        text.finish()
    }

    /// What it needs, a fact each, for a comparison with another component.
    #[must_use]
    pub fn facts(&self) -> Vec<String> {
        let imports = self.imports.iter().map(|import| match import.power() {
            Some(power) => format!("imports {import} ({})", power.name()),
            None => format!("imports {import} (refused here)"),
        });
        let loose = self
            .loose
            .iter()
            .map(|name| format!("imports {name} (refused here)"));
        let exports = self
            .exports
            .iter()
            .map(|export| format!("exports {export}"));
        let secrets = self
            .secrets
            .iter()
            .map(|name| format!("needs the secret \"{name}\""));
        secrets.chain(imports).chain(loose).chain(exports).collect()
    }
}

/// What a component shows to its host.
#[derive(Default)]
struct Outside {
    imports: Vec<Interface>,
    loose: Vec<String>,
    exports: Vec<Interface>,
}

impl Outside {
    /// Reads the sections of the outermost component, whose validity is not looked at.
    fn of(wasm: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut outside = Self::default();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    for import in imports {
                        let import = import?;
                        let instance = matches!(import.ty, ComponentTypeRef::Instance(_));
                        match import.name.name.parse() {
                            Ok(interface) if instance => outside.imports.push(interface),
                            _ => outside.loose.push(printable(import.name.name, 100)),
                        }
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    for export in exports {
                        let export = export?;
                        if let (ComponentExternalKind::Instance, Ok(interface)) =
                            (export.kind, export.name.name.parse())
                        {
                            outside.exports.push(interface);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(outside)
    }
}

/// The names of all that the component `wasm` imports.
pub(crate) fn imports(wasm: &[u8]) -> Result<Vec<String>, BinaryReaderError> {
    let Outside { imports, loose, .. } = Outside::of(wasm)?;
    Ok(imports
        .iter()
        .map(ToString::to_string)
        .chain(loose)
        .collect())
}
