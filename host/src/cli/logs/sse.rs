//! Server-sent events, read: the parser of WHATWG HTML, section 9.2.6.

/// Bytes of one event. The runtime's have some kilobytes.
const MOST: usize = 1 << 20;

/// One event.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Event {
    /// Its name, `message` if it has none.
    pub(crate) name: String,
    pub(crate) data: String,
}

/// What was read so far.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// The line that has not ended.
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed after it is of the same line break.
    carriage: bool,
    begun: bool,
    event: Event,
    /// Of the event that has not ended.
    id: Option<String>,
    /// The id of the last event that had one, for `last-event-id`.
    pub(crate) last_id: String,
    /// What the server wants waited before the next connection, in milliseconds.
    pub(crate) retry: Option<u64>,
}

/// An event, or a line of one, is too large.
#[derive(Debug)]
pub(crate) struct TooLarge;

impl Parser {
    /// Takes what came, and gives the events that ended in it.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLarge> {
        let mut events = Vec::new();
        for byte in bytes {
            let after_carriage = std::mem::replace(&mut self.carriage, *byte == b'\r');
            match byte {
                b'\n' if after_carriage => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                byte => {
                    self.line.push(*byte);
                    if self.line.len().saturating_add(self.event.data.len()) > MOST {
                        return Err(TooLarge);
                    }
                }
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Event> {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        let line = match std::mem::replace(&mut self.begun, true) {
            false => line.strip_prefix('\u{feff}').unwrap_or(&line),
            true => &line,
        };
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                self.event.data.push_str(value);
                self.event.data.push('\n');
            }
            "event" => value.clone_into(&mut self.event.name),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" => self.retry = value.parse().ok().or(self.retry),
            // A comment, or what this parser is to ignore.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        if let Some(id) = self.id.take() {
            self.last_id = id;
        }
        let mut event = std::mem::take(&mut self.event);
        event.data.pop()?;
        if event.name.is_empty() {
            event.name.push_str("message");
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn a_stream_is_read_as_the_standard_says_wherever_it_is_cut() {
        let stream = "\u{feff}retry: 3000\n\n: a comment\nevent: log\nid: a-1\ndata: {\"x\":1}\n\n\
            data:first\r\ndata: second\r\rdata\n\nid: no data\n\nid: b\nevent: end\ndata: é\n\ndata: unfinished\n";
        let expected = [
            event("log", "{\"x\":1}"),
            event("message", "first\nsecond"),
            event("message", ""),
            event("end", "é"),
        ];
        for size in [1, 2, 3, 7, 1_000] {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for piece in stream.as_bytes().chunks(size) {
                events.extend(parser.push(piece).expect("small"));
            }
            assert_eq!(events, expected, "{size}");
            assert_eq!((parser.last_id.as_str(), parser.retry), ("b", Some(3_000)));
        }
    }

    #[test]
    fn what_has_no_end_is_given_up() {
        let mut parser = Parser::default();
        assert!(parser.push(&vec![b'x'; MOST]).is_ok());
        assert!(parser.push(b"x").is_err());
    }
}
