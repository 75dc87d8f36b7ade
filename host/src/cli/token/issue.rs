//! `webtask token create --issue`: the flags of a ceiling.

use clap::Args;
use webtask_token::units::parse_duration;
use webtask_token::{Carrier, Ceiling};

use super::flags;
use super::secrets::invalid;
use crate::cli::Failure;

/// What an issuer token may mint.
#[derive(Args, Debug)]
#[command(next_help_heading = "Issuer tokens")]
pub(super) struct IssueFlags {
    /// Make an issuer token: it runs nothing, and its holder mints tokens below this ceiling, with
    /// `webtask token create --host URL --issuer FILE`
    #[arg(long, requires = "mint_urls")]
    pub(super) issue: bool,
    /// Code that minted tokens may run: a URL, or one whose path ends in * for all below; may be repeated
    #[arg(
        long = "mint-url",
        id = "mint_urls",
        value_name = "URL",
        requires = "issue"
    )]
    mint_urls: Vec<String>,
    /// The longest life of a minted token
    #[arg(long = "mint-life", value_name = "TIME", default_value = "1h")]
    mint_life: String,
    /// Outbound requests that minted tokens may be granted, or a part of them; may be repeated
    #[arg(long = "mint-allow", value_name = "METHODS URL", requires = "issue")]
    mint_allows: Vec<String>,
    /// A limit that minted tokens have at most; may be repeated
    #[arg(long = "mint-limit", value_name = "NAME=VALUE", requires = "issue")]
    mint_limits: Vec<String>,
    /// A parameter that minted tokens may have, * for any; may be repeated
    #[arg(long = "mint-param", value_name = "NAME", requires = "issue")]
    mint_params: Vec<String>,
    /// A secret that minted tokens may have, * for any; may be repeated. Its value is the minter's
    #[arg(long = "mint-secret", value_name = "NAME", requires = "issue")]
    mint_secrets: Vec<String>,
    /// A carrier beyond headers that minted tokens may have
    #[arg(long = "mint-via", value_name = "CARRIER", value_parser = ["path"], requires = "issue")]
    mint_via: Option<String>,
    /// Minted tokens may be unpinned
    #[arg(long = "mint-unpinned", requires = "issue")]
    mint_unpinned: bool,
}

impl IssueFlags {
    pub(super) fn ceiling(&self) -> Result<Ceiling, Failure> {
        let life = parse_duration(&self.mint_life)
            .map_err(|error| invalid(&format!("--mint-life {:?}", self.mint_life), error))?;
        let mut ceiling = Ceiling::new(self.mint_urls.clone(), life.as_secs());
        ceiling.out = flags::grants("--mint-allow", &self.mint_allows)?;
        ceiling.lim = flags::limits("--mint-limit", &self.mint_limits)?;
        ceiling.params.clone_from(&self.mint_params);
        ceiling.secrets.clone_from(&self.mint_secrets);
        ceiling
            .via
            .extend(self.mint_via.as_ref().map(|_| Carrier::Path));
        ceiling.unpinned = self.mint_unpinned;
        Ok(ceiling)
    }
}
