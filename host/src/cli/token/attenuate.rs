//! `webtask token attenuate`: flags to a caveat to a narrower token, without a key and without a network.

use clap::Args;
use serde_json::json;
use webtask_token::{AttenuateError, Caveat, Origin, attenuate};

use super::flags::{self, TokenText};
use super::secrets::{Raw, invalid};
use super::{now, words};
use crate::cli::{Failure, print};

/// Narrow a token and print the narrower one
///
/// Needs no key and no network: whoever holds a token can hand on less of it, and nobody can take the
/// narrowing away again. All that is given here must hold, beside all that the token says already.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  Read-only, one page, ten minutes:
    webtask token attenuate \"$TOKEN\" --method GET --path '/orders/*' \\
      --origin https://app.example.com --expires 10m

  This token, but only as user 42; the code reads the parameter and can trust it:
    webtask token attenuate \"$TOKEN\" --param user=42 --note 'login of Ada'

  Fewer powers for the code:
    webtask token attenuate - --no-outbound --limit wall=1s < token.txt")]
pub(super) struct Attenuate {
    /// The token, or - to read it from stdin
    #[arg(value_name = "TOKEN")]
    token: TokenText,
    /// Only this method of the request; may be repeated
    #[arg(long = "method", value_name = "METHOD")]
    methods: Vec<String>,
    /// Only this path, as the webtask sees it; a * at its end makes a prefix
    #[arg(long)]
    path: Option<String>,
    /// Only pages of this origin, such as https://app.example.com; may be repeated. Callers that name no
    /// origin are refused as well
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// When the token ends: a time from now such as 10m, 12h, 30d, or Unix seconds
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// When the token begins: a time from now, or Unix seconds
    #[arg(long, value_name = "TIME")]
    not_before: Option<String>,
    /// A parameter that is fixed from here on
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<Raw>,
    /// A lower limit, as of `webtask token create`; rate counts for all tokens made from this one
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
    /// Only these outbound requests, of those that the token allows; may be repeated
    #[arg(long = "allow", value_name = "METHODS URL")]
    allows: Vec<String>,
    /// No outbound request at all
    #[arg(long, conflicts_with = "allows")]
    no_outbound: bool,
    /// Text for the audit, at most 256 bytes; everybody who holds the token can read it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Print JSON: token, caveat
    #[arg(long)]
    json: bool,
}

impl Attenuate {
    pub(super) fn run(self) -> Result<(), Failure> {
        let caveat = self.caveat(now())?;
        if caveat == Caveat::default() {
            return Err(Failure::usage("nothing to narrow")
                .hint("say what the new token is for: --method, --path, --origin, --expires, --param, ..."));
        }
        let token = attenuate(&self.token.read()?, &caveat).map_err(|error| {
            let failure = Failure::refused(error.to_string());
            match error {
                AttenuateError::ParamFixed => {
                    failure.hint("`webtask token inspect TOKEN` shows what earlier caveats fix")
                }
                AttenuateError::Token(_) => failure.hint(
                    "a token begins with wt1. and has no spaces; quote it, and copy all of it",
                ),
                _ => failure,
            }
        })?;
        for line in words::caveat(&caveat) {
            eprintln!("narrowed: {line}");
        }
        print(if self.json {
            let said = json!({ "token": token, "caveat": words::caveat_json(&caveat) });
            format!("{said}\n")
        } else {
            format!("{token}\n")
        })
    }

    fn caveat(&self, now: u64) -> Result<Caveat, Failure> {
        let time = |flag: &str, text: &Option<String>| {
            let time = text.as_ref().map(|text| flags::time(flag, text, now));
            time.transpose()
        };
        let origin = |text: &String| {
            let origin = text.trim_end_matches('/').parse::<Origin>();
            origin
                .map(|origin| origin.to_string())
                .map_err(|error| invalid(&format!("--origin {text:?}"), error))
        };
        let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
        let methods = self.methods.iter().map(|m| m.to_ascii_uppercase());
        let origins: Vec<String> = self.origins.iter().map(origin).collect::<Result<_, _>>()?;
        let out = flags::grants("--allow", &self.allows)?;
        Ok(Caveat {
            exp: time("--expires", &self.expires)?,
            nbf: time("--not-before", &self.not_before)?,
            methods: some(methods.collect()),
            path: self.path.clone(),
            origins: some(origins),
            params: flags::params(&self.params)?,
            lim: flags::limits("--limit", &self.limits)?,
            out: (self.no_outbound || !out.is_empty()).then_some(out),
            note: self.note.clone(),
        })
    }
}
