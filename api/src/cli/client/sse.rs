//! Server-sent events, as the HTML standard has them: lines of fields, an empty line behind each event.

/// The longest event that is taken, in bytes.
const LONGEST: usize = 1 << 20;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// What a new connection says to hear only what came later.
    pub(super) id: Option<String>,
    pub(super) data: String,
}

/// An event that does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {LONGEST} bytes")]
pub(super) struct TooLong;

/// Makes events of bytes, cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    /// Whether the last byte was a carriage return: a line feed behind it ends no second line.
    returned: bool,
    event: Event,
    /// Whether the event has data.
    filled: bool,
}

impl Reader {
    /// Takes the next bytes; returns the events that end in them.
    ///
    /// # Errors
    /// If an event is too long.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        for byte in bytes {
            let returned = std::mem::replace(&mut self.returned, *byte == b'\r');
            match byte {
                b'\n' if returned => {}
                b'\n' | b'\r' => events.extend(self.end_of_line()),
                _ => self.line.push(*byte),
            }
            if self.line.len() + self.event.data.len() > LONGEST {
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    fn end_of_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let id = self.event.id.clone();
            let event = std::mem::take(&mut self.event);
            // The id holds until another one is said.
            self.event.id = id;
            return std::mem::take(&mut self.filled).then_some(event);
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.filled {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.filled = true;
            }
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            // Comments keep the connection alive; names and times are not needed here.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(Option<String>, String)> {
        let events = Reader::default().take(text.as_bytes()).unwrap();
        events.into_iter().map(|event| (event.id, event.data)).collect()
    }

    fn event(id: &str, data: &str) -> (Option<String>, String) {
        (Some(id.to_owned()), data.to_owned())
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let text =
            ":alive\n\nid: 1\ndata: a\n\ndata:b\r\ndata:  c\r\n\r\nevent: x\rid:2\rdata\r\rid: 3\n\ndata: not ended\n";
        let expected = [event("1", "a"), event("1", "b\n c"), event("2", "")];
        assert_eq!(read(text), expected);
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut reader = Reader::default();
        let piece = [b'x'; 1 << 16];
        let taken = (0..17).map(|_| reader.take(&piece)).collect::<Vec<_>>();
        assert_eq!(taken[15], Ok(Vec::new()));
        assert_eq!(taken[16], Err(TooLong));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_bytes_are_cut(
            lines in prop::collection::vec("(id: [0-9]|data: [a-ü]{0,3}|:c|)(\n|\r\n|\r)", 0..20),
            cuts in prop::collection::vec(1usize..6, 1..20),
        ) {
            let text = lines.concat();
            let whole = Reader::default().take(text.as_bytes()).unwrap();
            let (mut reader, mut events, mut rest) = (Reader::default(), Vec::new(), text.as_bytes());
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                events.extend(reader.take(piece).unwrap());
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(events, whole);
        }
    }
}
