//! The manifest of an image: which layer is the component.

use serde::Deserialize;

use super::MANIFEST;

const LAYER: &str = "application/wasm";

/// The layer that is the component.
pub(super) struct Layer {
    /// Lower-case hexadecimal.
    pub(super) digest: String,
    pub(super) size: u64,
}

/// OCI image specification 1.1, as far as it matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: Option<String>,
    layers: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

impl Layer {
    /// The error is a sentence about the manifest.
    pub(super) fn of(manifest: &[u8]) -> Result<Self, String> {
        let manifest: Manifest = serde_json::from_slice(manifest)
            .map_err(|error| format!("the manifest is not one of an image: {error}"))?;
        if manifest.schema_version != 2 {
            return Err(format!(
                "the manifest has schema {}, not 2",
                manifest.schema_version
            ));
        }
        if let Some(other) = manifest.media_type.filter(|kind| kind != MANIFEST) {
            return Err(format!(
                "the manifest is of the type {other:?}, not {MANIFEST}"
            ));
        }
        let layers = manifest.layers.unwrap_or_default();
        let [layer] = layers.as_slice() else {
            let number = layers.len();
            return Err(format!(
                "the image has {number} layers, and a component is one of the type {LAYER}"
            ));
        };
        if layer.media_type != LAYER {
            return Err(format!(
                "the layer is of the type {:?}, not {LAYER}",
                layer.media_type
            ));
        }
        let digits = layer.digest.strip_prefix("sha256:").unwrap_or_default();
        let valid = digits.len() == 64
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !valid {
            return Err(format!(
                "the layer's digest {:?} is not of SHA-256",
                layer.digest
            ));
        }
        Ok(Self {
            digest: digits.to_owned(),
            size: layer.size,
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_the_one_layer_of_its_type() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let layer = |kind: &str, digest: &str| {
            format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":5}}"#)
        };
        let manifest = |kind: &str, layers: &str| {
            format!(
                r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{{}},"layers":[{layers}]}}"#
            )
        };
        let good = layer(LAYER, &digest);
        let found = Layer::of(manifest(MANIFEST, &good).as_bytes()).unwrap();
        assert_eq!((found.digest, found.size), ("0a".repeat(32), 5));
        for (text, reason) in [
            ("<html>".to_owned(), "not one of an image"),
            (manifest(MANIFEST, ""), "0 layers"),
            (manifest(MANIFEST, &format!("{good},{good}")), "2 layers"),
            (
                manifest("application/vnd.oci.image.index.v1+json", &good),
                "index.v1",
            ),
            (
                manifest(MANIFEST, &layer("application/octet-stream", &digest)),
                "octet-stream",
            ),
            (
                manifest(MANIFEST, &layer(LAYER, "sha512:0a")),
                "not of SHA-256",
            ),
            (
                manifest(MANIFEST, &layer(LAYER, &digest.to_uppercase())),
                "not of SHA-256",
            ),
            (r#"{"schemaVersion":1,"layers":[]}"#.to_owned(), "schema 1"),
        ] {
            let error = Layer::of(text.as_bytes()).err().unwrap();
            assert!(error.contains(reason), "{error}");
        }
    }
}
