//! What a component shows of itself without being compiled: its generation, imports and needs.
//!
//! Reads hostile bytes, and so runs where they are compiled. What it tells is bounded.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    audit::{self, Interface},
    needs,
    text::chain,
};

/// The interface of `wasi:http` by which a component of WASI 0.3 is called.
const HANDLER_P3: &str = "handler";

/// The most imports of a component. The world has fewer than a hundred.
const MAX_IMPORTS: usize = 1_000;

/// The most bytes of their names, all together.
const MAX_NAMES: usize = 64 << 10;

/// A generation of WASI.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(crate) enum Generation {
    P2,
    P3,
}

/// What a component shows of itself.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Analysis {
    /// Whose handler it exports.
    pub(crate) generation: Generation,
    /// The names of all that it imports.
    pub(crate) imports: Vec<String>,
    /// Names of the secrets that it says it needs.
    pub(crate) needs: BTreeSet<String>,
}

impl Analysis {
    /// The error is in words, for the author.
    pub(crate) fn of(wasm: &[u8]) -> Result<Self, String> {
        let generation = generation(wasm).map_err(|error| chain(&error))?;
        let imports = audit::imports(wasm).map_err(|error| chain(&error))?;
        if imports.len() > MAX_IMPORTS || imports.iter().map(String::len).sum::<usize>() > MAX_NAMES
        {
            return Err(format!(
                "it imports {} names; {MAX_IMPORTS} names of {MAX_NAMES} bytes are the most",
                imports.len()
            ));
        }
        Ok(Self {
            generation,
            imports,
            needs: needs::of(wasm).map_err(|error| chain(&error))?,
        })
    }
}

/// The generation whose handler `wasm` exports. 0.3 where it exports both: who built for both meant the
/// newer one to be used where it can be. 0.2 where it exports none, and linking says what is missing.
fn generation(wasm: &[u8]) -> Result<Generation, wasmparser::BinaryReaderError> {
    use wasmparser::{Parser, Payload};
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth = depth.saturating_add(1)
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    let export = export?.name.name.parse::<Interface>();
                    if export.is_ok_and(|export| export.name == HANDLER_P3 && export.serves()) {
                        return Ok(Generation::P3);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(Generation::P2)
}
