//! One line: what is said, of which request, and who may see it.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use memchr::memmem::Finder;
use serde::{Serialize, Serializer};
use webtask_token::LinkId;

use crate::text::utc;

/// What a line takes beside its texts: itself, its place in a history, and what the allocator adds.
const OVERHEAD: usize = 256;

/// How much a line matters; what is less comes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl std::str::FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" => Self::Warn,
            "error" => Self::Error,
            _ => return Err(()),
        })
    }
}

/// The request that lines are of.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) request_id: Box<str>,
    pub(crate) token_id: Box<str>,
    pub(crate) tenant: Arc<str>,
    /// All links of its token.
    pub(crate) links: Box<[LinkId]>,
    /// Those of the issuer token that it was minted with.
    pub(crate) iss: Box<[LinkId]>,
}

/// What a line says.
#[derive(Debug)]
pub(crate) enum What {
    /// The guest, or the host to its author.
    Said { context: String, text: String },
    /// The request is over.
    Ended(Box<Ended>),
}

/// How a request ended, for its author.
#[derive(Debug, Serialize)]
pub(crate) struct Ended {
    pub(crate) method: String,
    /// 0 if there was no answer.
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    #[serde(serialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(crate) component: Option<Arc<str>>,
    pub(crate) ms: f64,
    pub(crate) open_ms: f64,
    pub(crate) load_ms: f64,
    pub(crate) instantiate_ms: f64,
    pub(crate) run_ms: f64,
    pub(crate) cpu_ms: f64,
    pub(crate) memory: u64,
    pub(crate) calls: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Option<String>,
}

/// A shared text, for which serde's derive wants a feature of its own.
fn text<S: Serializer>(text: &Option<Arc<str>>, to: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(to)
}

/// A line, once it is written.
#[derive(Debug)]
pub(super) struct Line {
    /// Given by the tenant's log.
    pub(super) number: u64,
    /// Milliseconds since 1970.
    time: u64,
    level: Level,
    about: Arc<About>,
    what: What,
}

/// As it goes out.
#[derive(Serialize)]
struct Shown<'a> {
    time: String,
    level: Level,
    request_id: &'a str,
    token_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(flatten)]
    ended: Option<&'a Ended>,
}

impl Line {
    pub(super) fn new(about: Arc<About>, level: Level, what: What) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = since.map_or(0, |since| since.as_millis());
        Self {
            number: 0,
            time: u64::try_from(millis).unwrap_or(u64::MAX),
            level,
            about,
            what,
        }
    }

    /// Bytes of memory, about. What lines of one request share counts for each, so it is never less.
    pub(super) fn bytes(&self) -> u64 {
        let texts = match &self.what {
            What::Said { context, text } => context.capacity().saturating_add(text.capacity()),
            What::Ended(ended) => {
                let limits = ended.limits.as_ref().map_or(0, String::len);
                size_of::<Ended>()
                    .saturating_add(limits)
                    .saturating_add(128)
            }
        };
        let links = self.about.links.len().saturating_add(self.about.iss.len());
        let ids = self
            .about
            .request_id
            .len()
            .saturating_add(self.about.token_id.len());
        let about = links.saturating_mul(16).saturating_add(ids);
        let all = OVERHEAD.saturating_add(texts).saturating_add(about);
        all as u64
    }

    /// The name of its event.
    pub(super) fn event(&self) -> &'static str {
        match self.what {
            What::Said { .. } => "log",
            What::Ended(_) => "invocation",
        }
    }

    /// Its data, JSON in one line.
    pub(super) fn json(&self) -> String {
        let (context, message, ended) = match &self.what {
            What::Said { context, text } => (Some(&**context), Some(&**text), None),
            What::Ended(ended) => (None, None, Some(&**ended)),
        };
        let seconds = utc(self.time / 1_000);
        let shown = Shown {
            time: format!(
                "{}.{:03}Z",
                seconds.trim_end_matches('Z'),
                self.time % 1_000
            ),
            level: self.level,
            request_id: &self.about.request_id,
            token_id: &self.about.token_id,
            context,
            message,
            ended,
        };
        // Texts and numbers: nothing of it can fail.
        serde_json::to_string(&shown).unwrap_or_default()
    }
}

/// Which lines of a tenant a token may see.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scope {
    /// Those of tokens that were minted with a token of this link.
    Issuer(LinkId),
    /// Those of tokens of this link, and of all that were made from them.
    Link(LinkId),
    /// All of them.
    Tenant,
}

impl Scope {
    fn sees(self, about: &About) -> bool {
        match self {
            Self::Issuer(link) => about.iss.contains(&link),
            Self::Link(link) => about.links.contains(&link),
            Self::Tenant => true,
        }
    }
}

/// Which lines a reader gets.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) scope: Scope,
    /// What is less is left out.
    level: Level,
    /// What does not hold it is left out.
    text: Option<Finder<'static>>,
}

impl Filter {
    pub(crate) fn new(scope: Scope, level: Level, text: &str) -> Self {
        let text = (!text.is_empty()).then(|| Finder::new(text).into_owned());
        Self { scope, level, text }
    }

    pub(super) fn passes(&self, line: &Line) -> bool {
        let texts = || match &line.what {
            What::Said { context, text } => [text.as_str(), context.as_str()],
            What::Ended(ended) => [ended.code, ended.limits.as_deref().unwrap_or_default()],
        };
        let holds = |finder: &Finder<'_>| {
            let id = &*line.about.request_id;
            let mut texts = texts().into_iter().chain([id]);
            texts.any(|text| finder.find(text.as_bytes()).is_some())
        };
        line.level >= self.level
            && self.scope.sees(&line.about)
            && self.text.as_ref().is_none_or(holds)
    }

    /// Whether every line of the tenant passes.
    pub(super) fn passes_all(&self) -> bool {
        self.scope == Scope::Tenant && self.level == Level::Trace && self.text.is_none()
    }
}
