//! A registry of images: `docker-registry` as a process where that is installed, and one in this process that
//! follows the OCI distribution specification as far as pushing and pulling need it.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::Full;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{Origin, Reply, Seen, client};

/// `ada:s3cr3t` as it stands in `authorization` and in docker's `config.json`.
pub const LOGIN: &str = "YWRhOnMzY3IzdA==";
/// The same for the process: bcrypt.
const HTPASSWD: &str = "ada:$2b$04$ntlnn2Ua49k052Srl4P8POTg0Ar9ush5j6MUr83Wp0fvKlg3taUGO\n";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// Who may use a registry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Guard {
    /// Anybody.
    Open,
    /// Who has [`LOGIN`].
    Basic,
    /// Who has a token of `/token`, which takes [`LOGIN`]. Not of the process.
    Bearer,
}

/// A running registry, stopped when dropped.
pub struct Registry {
    /// Where it listens.
    pub address: SocketAddr,
    guard: Guard,
    kind: Kind,
}

enum Kind {
    Here(Origin),
    Process(
        Child,
        #[expect(dead_code, reason = "removed when dropped")] tempfile::TempDir,
    ),
}

type Change = dyn Fn(&Seen, Response<Bytes>) -> Response<Bytes> + Send + Sync;

impl Registry {
    /// One of each kind that there is here.
    pub async fn all(guard: Guard) -> Vec<Self> {
        let here = Self::here(guard, |_, answer| answer).await;
        match Self::process(guard) {
            Some(process) => vec![here, process],
            None => {
                eprintln!("docker-registry is not installed: only the stand-in is tested");
                vec![here]
            }
        }
    }

    /// One in this process, whose answers to pulls are changed.
    pub async fn here(
        guard: Guard,
        change: impl Fn(&Seen, Response<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        let store = Store {
            guard,
            kept: Mutex::default(),
            change: Box::new(change),
        };
        let store = Arc::new(store);
        let origin = Origin::start(move |seen| store.answer(seen)).await;
        Self {
            address: origin.address,
            guard,
            kind: Kind::Here(origin),
        }
    }

    /// The process, if its program is installed.
    fn process(guard: Guard) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name).display().to_string();
        let auth = match guard {
            Guard::Open => String::new(),
            _ => format!(
                "auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                at("users")
            ),
        };
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n{auth}",
            at("data")
        );
        std::fs::write(at("users"), HTPASSWD).expect("a file");
        std::fs::write(at("config.yml"), config).expect("a file");
        let mut child = Command::new("docker-registry")
            .args(["serve", &at("config.yml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut listening = lines.by_ref().map_while(Result::ok).filter_map(|line| {
            let (_, rest) = line.split_once("listening on ")?;
            rest.split(['"', ' ', ',']).next()?.parse().ok()
        });
        let address = listening
            .next()
            .expect("docker-registry says where it listens");
        // Read on, so that it never waits for a reader.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Some(Self {
            address,
            guard,
            kind: Kind::Process(child, dir),
        })
    }

    /// `oci://127.0.0.1:port/` and `rest`.
    pub fn url(&self, rest: &str) -> String {
        format!("oci://{}/{rest}", self.address)
    }

    /// The prefix that allows code from it, in clear text.
    pub fn prefix(&self, rest: &str) -> String {
        format!("oci+http://{}/{rest}", self.address)
    }

    /// What it was asked, of one in this process.
    pub fn seen(&self) -> Vec<Seen> {
        match &self.kind {
            Kind::Here(origin) => origin.seen(),
            Kind::Process(..) => Vec::new(),
        }
    }

    /// Puts a component there; the digest of its manifest comes back.
    pub async fn push(&self, repository: &str, tag: &str, code: &[u8]) -> String {
        self.push_layers(repository, tag, &[("application/wasm", code)])
            .await
    }

    /// The same with layers of any type.
    pub async fn push_layers(
        &self,
        repository: &str,
        tag: &str,
        layers: &[(&str, &[u8])],
    ) -> String {
        let mut described = Vec::new();
        for (kind, bytes) in layers {
            described.push(json!({
                "mediaType": kind, "digest": self.upload(repository, bytes).await, "size": bytes.len(),
            }));
        }
        let config = self.upload(repository, b"{}").await;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": described,
            "config": { "mediaType": CONFIG, "digest": config, "size": 2 },
        });
        let manifest = manifest.to_string();
        let path = format!("/v2/{repository}/manifests/{tag}");
        let reply = self
            .send(Method::PUT, &path, MANIFEST, manifest.clone().into())
            .await;
        assert_eq!(reply.status, 201, "{reply:?}");
        hex(manifest.as_bytes())
    }

    async fn upload(&self, repository: &str, bytes: &[u8]) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let reply = self
            .send(Method::POST, &path, "text/plain", Bytes::new())
            .await;
        assert_eq!(reply.status, 202, "{reply:?}");
        let location = reply.headers["location"].to_str().expect("text");
        let path = location
            .strip_prefix(&format!("http://{}", self.address))
            .unwrap_or(location);
        let sign = if path.contains('?') { '&' } else { '?' };
        let digest = format!("sha256:{}", hex(bytes));
        let path = format!("{path}{sign}digest={digest}");
        let bytes = Bytes::copy_from_slice(bytes);
        let reply = self
            .send(Method::PUT, &path, "application/octet-stream", bytes)
            .await;
        assert_eq!(reply.status, 201, "{reply:?}");
        digest
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: Bytes) -> Reply {
        let authorization = match self.guard {
            Guard::Open | Guard::Basic => format!("Basic {LOGIN}"),
            Guard::Bearer => format!("Bearer {TOKEN}"),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, kind)
            .body(Full::new(body))
            .expect("a request");
        client::send(self.address, request).await
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Kind::Process(child, _) = &mut self.kind {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What `/token` hands out.
const TOKEN: &str = "t0ken-of-the-registry";

struct Store {
    guard: Guard,
    /// By path, with the type: blobs and manifests.
    kept: Mutex<HashMap<String, (String, Bytes)>>,
    change: Box<Change>,
}

impl Store {
    fn answer(&self, seen: &Seen) -> Response<Bytes> {
        let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
        let field = |name: &str| seen.headers.get(name).and_then(|value| value.to_str().ok());
        let host = field("host").unwrap_or_default();
        let sent = field("authorization").unwrap_or_default();
        if path == "/token" {
            return match sent == format!("Basic {LOGIN}") {
                true => answer(200, json!({ "token": TOKEN }).to_string().into(), &[]),
                false => answer(401, Bytes::new(), &[]),
            };
        }
        let (wanted, challenge) = match self.guard {
            Guard::Open => (sent.to_owned(), String::new()),
            Guard::Basic => (format!("Basic {LOGIN}"), "Basic realm=\"test\"".to_owned()),
            Guard::Bearer => (
                format!("Bearer {TOKEN}"),
                format!(
                    "Bearer realm=\"http://{host}/token\",service=\"test\",scope=\"repository:x:pull,push,delete\""
                ),
            ),
        };
        if sent != wanted {
            return answer(401, Bytes::new(), &[("www-authenticate", &challenge)]);
        }
        match seen.method {
            Method::POST => answer(202, Bytes::new(), &[("location", &format!("{path}1"))]),
            Method::PUT => self.put(
                path,
                query,
                field("content-type").unwrap_or_default(),
                &seen.body,
            ),
            _ => (self.change)(seen, self.get(path)),
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, (String, Bytes)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, path: &str, query: &str, kind: &str, body: &Bytes) -> Response<Bytes> {
        let digest = format!("sha256:{}", hex(body));
        let value = (kind.to_owned(), body.clone());
        let beside = |name: &str| match path.rsplit_once(name) {
            Some((start, _)) => format!("{start}{name}{digest}"),
            None => String::new(),
        };
        if query == format!("digest={digest}") {
            self.kept().insert(beside("/blobs/"), value);
        } else {
            self.kept().insert(path.to_owned(), value.clone());
            self.kept().insert(beside("/manifests/"), value);
        }
        answer(201, Bytes::new(), &[])
    }

    fn get(&self, path: &str) -> Response<Bytes> {
        match self.kept().get(path) {
            Some((kind, body)) => {
                let digest = format!("sha256:{}", hex(body));
                let fields = [
                    ("content-type", kind.as_str()),
                    ("docker-content-digest", &digest),
                ];
                answer(200, body.clone(), &fields)
            }
            None => answer(404, Bytes::new(), &[]),
        }
    }
}

fn answer(status: u16, body: Bytes, fields: &[(&str, &str)]) -> Response<Bytes> {
    let builder = Response::builder().status(status);
    let builder = fields.iter().fold(builder, |builder, (name, value)| {
        builder.header(*name, *value)
    });
    builder.body(body).expect("a response")
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
