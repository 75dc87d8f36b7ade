//! Code in registries: the pull of the OCI distribution specification 1.1, over the host's own egress.
//!
//! An artefact is one component: the layer of the type `application/wasm` of an image manifest. The digest in
//! a URL is that of the manifest, what the manifest names is that of the component, and both are compared.

mod manifest;

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use sha2::{Digest as _, Sha256};
use url::Url;
use webtask_token::Image;

use self::manifest::Layer;
use super::{
    LoadError, Worker,
    fetch::{Failure, Found, failed},
    freshness::Times,
    known::Known,
    origin::{Ask, REDIRECTS, basis_of, next, of_status},
    registry::Session,
    source::{From, Source, below},
};
use crate::{
    egress::{Answer, Ranges},
    text::hex,
};

/// The largest manifest. One of a component takes a kilobyte.
const MANIFEST_BYTES: u64 = 256 << 10;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Repositories of a registry that begin with a name.
#[derive(Clone, Debug)]
pub(super) struct Prefix {
    scheme: &'static str,
    registry: String,
    /// With a `/` before it.
    path: String,
}

/// An image and how to reach it.
#[derive(Clone)]
pub(super) struct Place {
    /// The root of the registry.
    pub(super) base: Url,
    pub(super) repository: String,
    tag: Option<String>,
    digest: Option<String>,
    pub(super) ranges: Ranges,
}

impl Prefix {
    /// `oci://` as over TLS, `oci+http://` in clear text; host, maybe a port, and the beginning of a name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://")? {
            ("oci", rest) => ("https", rest),
            ("oci+http", rest) => ("http", rest),
            _ => return None,
        };
        let url = Url::parse(&format!("https://{rest}")).ok()?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && !url.path().contains([':', '@', '%']);
        plain.then(|| Self {
            scheme,
            registry: registry_of(&url),
            path: url.path().to_owned(),
        })
    }

    pub(super) fn permits(&self, image: &Image<'_>) -> Option<Place> {
        let repository = format!("/{}", image.repository);
        (image.registry == self.registry && below(&repository, &self.path))
            .then(|| Place::new(image, self.scheme, Ranges::Opened))
            .flatten()
    }
}

/// Host and port as an image has them.
pub(super) fn registry_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

impl Place {
    fn new(image: &Image<'_>, scheme: &str, ranges: Ranges) -> Option<Self> {
        Some(Self {
            base: Url::parse(&format!("{scheme}://{}/", image.registry)).ok()?,
            repository: image.repository.to_owned(),
            tag: image.tag.map(str::to_owned),
            digest: image.digest.map(str::to_owned),
            ranges,
        })
    }

    /// Where any public registry is allowed.
    pub(super) fn public(image: &Image<'_>) -> Option<Self> {
        Self::new(image, "https", Ranges::Public)
    }

    /// The same image at a mirror.
    pub(super) fn moved(&self, from: &Prefix, to: &Prefix) -> Option<Self> {
        let repository = format!("/{}", self.repository);
        let repository = format!("{}{}", to.path, repository.strip_prefix(&from.path)?);
        Some(Self {
            base: Url::parse(&format!("{}://{}/", to.scheme, to.registry)).ok()?,
            repository: repository.trim_start_matches('/').to_owned(),
            ranges: Ranges::Opened,
            ..self.clone()
        })
    }

    /// As a URL, for logs.
    pub(super) fn url(&self) -> Option<Url> {
        let tag = self.tag.iter().map(|tag| format!(":{tag}"));
        let digest = self.digest.iter().map(|digest| format!("@sha256:{digest}"));
        let rest: String = tag.chain(digest).collect();
        let (registry, repository) = (registry_of(&self.base), &self.repository);
        Url::parse(&format!("oci://{registry}/{repository}{rest}")).ok()
    }

    /// `/v2/{name}/{kind}/{reference}` of the registry.
    fn at(&self, kind: &str, reference: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{}/{kind}/{reference}", self.repository));
        url
    }

    fn is_of(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }
}

impl Worker {
    /// The component of an image. `known` is what it was before.
    pub(super) async fn pull(
        &self,
        source: &Source,
        place: &Place,
        known: Option<&Known>,
    ) -> Result<Found, Failure> {
        let mut session = Session::new(place);
        let reference = match (&place.digest, &place.tag) {
            (Some(digest), _) => format!("sha256:{digest}"),
            (None, Some(tag)) => tag.clone(),
            (None, None) => return Err(failed(source, "an image has a tag or a digest")),
        };
        let at = place.at("manifests", &reference);
        let (response, times) = self
            .walk(source, &mut session, at.clone(), MANIFEST)
            .await?;
        let headers = response.headers().clone();
        let manifest = self.body(source, response, MANIFEST_BYTES).await;
        let manifest = manifest.map_err(|failure| match failure.error {
            LoadError::TooLarge { limit, .. } => {
                failed(source, format!("the manifest is larger than {limit} bytes"))
            }
            _ => failure,
        })?;
        let expected = place.digest.as_deref().or_else(|| told(&headers));
        let found = hex(&Sha256::digest(&manifest));
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            let reason = format!("the manifest has SHA-256 {found}, not {expected}");
            return Err(failed(source, reason));
        }
        let layer = Layer::of(&manifest).map_err(|reason| failed(source, reason))?;
        let basis = basis_of(at, place.digest.is_some(), headers, times);
        if known.is_some_and(|known| hex(&known.digest) == layer.digest) {
            return Ok(Found::Same(basis));
        }
        let bytes = self.layer(source, &mut session, layer).await?;
        Ok(Found::Code(bytes, basis))
    }

    /// The bytes of the layer, which are what the manifest says.
    async fn layer(
        &self,
        source: &Source,
        session: &mut Session<'_>,
        layer: Layer,
    ) -> Result<Bytes, Failure> {
        let limit = self.limits.component_bytes;
        if layer.size > limit {
            let url = source.shown();
            return Err(LoadError::TooLarge { url, limit }.into());
        }
        let at = session
            .place
            .at("blobs", &format!("sha256:{}", layer.digest));
        let (response, _) = self.walk(source, session, at, "*/*").await?;
        let bytes = self.body(source, response, layer.size).await;
        let bytes = bytes.map_err(|failure| match failure.error {
            LoadError::TooLarge { limit, .. } => failed(
                source,
                format!("the layer is larger than {limit} bytes, as the manifest says"),
            ),
            _ => failure,
        })?;
        let (bytes, found) = super::digest_of(bytes).await;
        if hex(&found) != layer.digest {
            let (expected, found) = (layer.digest, hex(&found));
            let reason = format!("the layer has SHA-256 {found}, the manifest names {expected}");
            return Err(failed(source, reason));
        }
        Ok(bytes)
    }

    /// Asks the registry, with credentials if it wants some, and follows its redirects, without them.
    async fn walk(
        &self,
        source: &Source,
        session: &mut Session<'_>,
        mut url: Url,
        accept: &'static str,
    ) -> Result<(Response<Answer>, Times), Failure> {
        for _ in 0..=REDIRECTS {
            let own = session.place.is_of(&url);
            let ranges = self.ranges_of(source, session.place, &url)?;
            let mut answered = None;
            for again in [false, true] {
                let mut headers = HeaderMap::new();
                if let Some(value) = session.authorization.as_ref().filter(|_| own) {
                    headers.insert(header::AUTHORIZATION, value.clone());
                }
                let ask = Ask {
                    url: &url,
                    ranges,
                    accept,
                    headers,
                };
                let (response, times) = self.ask(source, ask).await?;
                if response.status().as_u16() == 401 && own && !again {
                    self.authenticate(source, session, response.headers())
                        .await?;
                    continue;
                }
                answered = Some((response, times));
                break;
            }
            let Some((response, times)) = answered else {
                break;
            };
            match next(source, &url, &response)? {
                Some(to) => url = to,
                None if response.status().as_u16() == 200 => return Ok((response, times)),
                None if response.status().as_u16() == 401 => {
                    let reason =
                        "the registry wants other credentials; give it some with --registry-auth";
                    return Err(failed(source, reason));
                }
                None => return Err(of_status(source, &response)),
            }
        }
        Err(failed(source, format!("more than {REDIRECTS} redirects")))
    }

    /// Which addresses a request on behalf of a registry may reach. What comes back is compared with a digest,
    /// so any public https origin may serve it: registries keep blobs where only they know.
    pub(super) fn ranges_of(
        &self,
        source: &Source,
        place: &Place,
        url: &Url,
    ) -> Result<Ranges, Failure> {
        if place.is_of(url) {
            return Ok(place.ranges);
        }
        match self.permit(url.as_str(), &source.by) {
            Ok(Source {
                from: From::Http(ranges),
                ..
            }) => Ok(ranges),
            _ if url.scheme() == "https" => Ok(Ranges::Public),
            _ => Err(failed(
                source,
                "the registry sends elsewhere, in clear text; allow that origin with --allow-code",
            )),
        }
    }
}

/// What the registry says is the digest of a manifest.
fn told(headers: &HeaderMap) -> Option<&str> {
    let digest = headers.get("docker-content-digest")?.to_str().ok()?;
    digest.strip_prefix("sha256:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(prefix: &str, url: &str) -> Option<String> {
        let place = Prefix::parse(prefix)?.permits(&Image::parse(url)?)?;
        Some(place.at("manifests", "x").into())
    }

    #[test]
    fn a_registrys_prefix_covers_repositories_below_it() {
        let at = "https://h.test/v2/team/task/manifests/x";
        for prefix in [
            "oci://h.test/",
            "oci://H.test:443/team/",
            "oci://h.test/team/task",
            "oci://h.test",
        ] {
            assert_eq!(
                permits(prefix, "oci://h.test/team/task:1").as_deref(),
                Some(at),
                "{prefix}"
            );
        }
        for prefix in [
            "oci://h.test/tea",
            "oci://h.test/team/task/",
            "oci://h.test:5000/",
            "oci://i.test/",
        ] {
            assert_eq!(
                permits(prefix, "oci://h.test/team/task:1"),
                None,
                "{prefix}"
            );
        }
        for (prefix, url, at) in [
            (
                "oci+http://127.0.0.1:5000/",
                "oci://127.0.0.1:5000/a:1",
                "http://127.0.0.1:5000/v2/a/manifests/x",
            ),
            (
                "oci+http://h.test/",
                "oci://h.test/a:1",
                "http://h.test/v2/a/manifests/x",
            ),
        ] {
            assert_eq!(permits(prefix, url).as_deref(), Some(at));
        }
        for bad in [
            "oci://",
            "oci+https://h/",
            "oci://u@h/",
            "oci://h/?x",
            "oci://h/a:1",
            "https://h/",
        ] {
            assert!(Prefix::parse(bad).is_none(), "{bad}");
        }
    }
}
