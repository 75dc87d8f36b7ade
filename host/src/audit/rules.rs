//! The rules in the doc comments of a policy: each line is a rule or a sentence, and none is ignored.
//!
//! The parser of WIT takes every comment for a doc comment. Here only `///` is one: what an operator
//! comments out with `//` is out.

use webtask_token::{Grant, Limits, Slot};

use super::{PolicyError, Power};

/// One rule. `None` stands for `*`.
pub(super) enum Rule {
    /// `allow: GET,POST https://api.example.com/v1/*`
    Allow(Option<Grant>),
    /// `bind: stripe-key=POST https://api.stripe.com/v1/charges authorization: Bearer {}`
    Bind(Option<(String, Slot)>),
    /// `limit: memory=64MiB`
    Limit(Limits),
    /// `secret: stripe-key`, or `*`
    Secret(String),
}

/// The lines of a policy: what its parser may see, and which rules are still to be taken.
pub(super) struct Lines<'a> {
    file: &'a str,
    wit: String,
    /// Text and number of each rule that nothing has taken.
    rules: Vec<(String, usize)>,
}

impl<'a> Lines<'a> {
    /// Leaves out the comments that are no doc comments.
    pub(super) fn of(file: &'a str, text: &str) -> Result<Self, PolicyError> {
        let mut lines = Self {
            file,
            wit: String::with_capacity(text.len()),
            rules: Vec::new(),
        };
        for (number, line) in (1..).zip(text.lines()) {
            let (code, comment) = line.find("//").map_or((line, ""), |at| line.split_at(at));
            if code.contains("/*") {
                return Err(lines.wrong(number, "write comments with //, a policy has no others"));
            }
            lines.wit.push_str(code);
            if let Some(doc) = comment
                .strip_prefix("///")
                .filter(|doc| !doc.starts_with('/'))
            {
                if !code.trim().is_empty() {
                    return Err(lines.wrong(number, "a doc comment begins its line"));
                }
                let doc = doc.trim();
                if is_rule(doc) {
                    lines.rules.push((doc.to_owned(), number));
                } else if !is_sentence(doc) {
                    return Err(lines.wrong(number, "a doc comment of a policy is a rule, such as `allow: GET https://api.example.com/*`, or a sentence that begins with a capital letter; write remarks with //"));
                }
                lines.wit.push_str(comment);
            }
            lines.wit.push('\n');
        }
        Ok(lines)
    }

    /// The text without what is commented out; its lines have the same numbers.
    pub(super) fn wit(&self) -> &str {
        &self.wit
    }

    /// The rule in a line of the doc comment of an import of `power`, or of the world; `None` for a sentence.
    pub(super) fn read(
        &mut self,
        line: &str,
        power: Option<Power>,
    ) -> Result<Option<Rule>, PolicyError> {
        let line = line.trim();
        if !is_rule(line) {
            return Ok(None);
        }
        let place = self.rules.iter().position(|(text, _)| text == line);
        let number = place.map_or(0, |place| self.rules.swap_remove(place).1);
        let (word, text) = line.split_once(':').unwrap_or((line, ""));
        match parse(word, text.trim(), power) {
            Ok(rule) => Ok(Some(rule)),
            Err(reason) => Err(self.wrong(number, &reason)),
        }
    }

    /// Nothing is left that no import has taken.
    pub(super) fn finish(&self) -> Result<(), PolicyError> {
        match self.rules.iter().min_by_key(|(_, number)| number) {
            None => Ok(()),
            Some((_, number)) => Err(self.wrong(*number, "the rule stands where it means nothing; put it above the world, or above an import of the world")),
        }
    }

    fn wrong(&self, line: usize, reason: &str) -> PolicyError {
        PolicyError::Line {
            file: self.file.to_owned(),
            line,
            reason: reason.to_owned(),
        }
    }
}

/// A line whose first word ends in a colon. A list's dash in front is no way round it.
fn is_rule(line: &str) -> bool {
    let line = line.trim_start_matches(['-', '*', '+', '>', ' ', '\t']);
    let word = line.split([' ', '\t', '=']).next().unwrap_or_default();
    word.contains(':')
}

fn is_sentence(line: &str) -> bool {
    let first = line.chars().next();
    first.is_none_or(|first| first.is_uppercase() || first == '(' || first == '|')
}

fn parse(word: &str, text: &str, power: Option<Power>) -> Result<Rule, String> {
    let (place, name) = match word {
        "allow" | "bind" => (
            Some(Power::OutboundHttp),
            "an import of wasi:http/outgoing-handler",
        ),
        "secret" => (Some(Power::Secrets), "an import of webtask:runtime/secrets"),
        "limit" => (None, "the world"),
        _ => {
            return Err(format!(
                "{:?} is no rule; rules are allow, bind, secret and limit, and a line that is none does not begin with a word and a colon",
                word.trim()
            ));
        }
    };
    if place != power {
        return Err(format!("`{word}` stands above {name}"));
    }
    let wrong = |error: webtask_token::ParseError| format!("`{word}`: {error}");
    match (word, text) {
        ("allow", "*") => Ok(Rule::Allow(None)),
        ("allow", grant) => grant
            .parse()
            .map(|grant| Rule::Allow(Some(grant)))
            .map_err(wrong),
        ("bind", "*") => Ok(Rule::Bind(None)),
        ("bind", bind) => {
            let (name, slot) = bind
                .split_once('=')
                .ok_or("`bind`: expected NAME=METHOD URL HEADER: FORMAT")?;
            let slot = slot.parse().map_err(wrong)?;
            Ok(Rule::Bind(Some((secret(name)?, slot))))
        }
        ("secret", "*") => Ok(Rule::Secret("*".to_owned())),
        ("secret", name) => secret(name).map(Rule::Secret),
        (_, limit) => {
            let (name, value) = limit
                .split_once('=')
                .ok_or("`limit`: expected NAME=VALUE, such as memory=64MiB")?;
            let mut limits = Limits::default();
            limits.set(name, value).map_err(wrong)?;
            Ok(Rule::Limit(limits))
        }
    }
}

fn secret(name: &str) -> Result<String, String> {
    if webtask_token::is_name(name) {
        Ok(name.to_owned())
    } else {
        Err("a secret's name is 1 to 64 of [A-Za-z0-9_.-], or * for any".to_owned())
    }
}
