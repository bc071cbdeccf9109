//! How a line says when it was, and, as text, what it has to say: `name=value`, as is usual with
//! `tracing`. There are two lines for each connection, so they must not cost much of one.

use std::fmt::{self, Debug, Write};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// The name of the field with the message of an event.
const MESSAGE: &str = "message";

/// The time in UTC to the microsecond, as in RFC 3339.
pub(super) struct Rfc3339;

impl FormatTime for Rfc3339 {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = humantime::format_rfc3339_micros(SystemTime::now());
        write!(writer, "{now}")
    }
}

/// The message, and each field behind its name.
pub(super) struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line {
            writer: Printable(writer),
            begun: false,
            result: Ok(()),
        };
        fields.record(&mut line);
        line.result
    }
}

/// A line that is being written.
struct Line<'writer> {
    writer: Printable<'writer>,
    begun: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn begin(&mut self, field: &Field) -> fmt::Result {
        if self.begun {
            self.writer.0.write_char(' ')?;
        }
        self.begun = true;
        if field.name() != MESSAGE {
            self.writer.0.write_str(field.name())?;
            self.writer.0.write_char('=')?;
        }
        Ok(())
    }
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.result = self
            .result
            .and_then(|()| self.begin(field))
            .and_then(|()| write!(self.writer, "{value:?}"));
    }
}

/// Nothing that is logged moves the cursor of a terminal, or rings its bell: control characters are
/// written as Rust escapes them. Lines may end within a line, for backtraces.
struct Printable<'writer>(Writer<'writer>);

impl Write for Printable<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nearly all that is logged needs no look at characters.
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return self.0.write_str(text);
        }
        for char in text.chars() {
            if char.is_control() && !matches!(char, '\n' | '\t') {
                write!(self.0, "{}", char.escape_default())?;
            } else {
                self.0.write_char(char)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::info;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of what `say` logs.
    fn lines(say: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_timer(Rfc3339)
            .fmt_fields(Fields)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, say);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_has_time_level_target_message_and_fields() {
        let line = lines(|| {
            let nothing: Option<i32> = None;
            info!(session = 7_u64, peer = %"a:1", reason = "bro\"ken", nothing, "it {}", "closed");
        });
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
        assert_eq!(time.len(), "2026-01-01T00:00:00.000000Z".len());
        let expected = " INFO doorkeeper_io_tokio::logging::text::tests: it closed session=7 \
                        peer=a:1 reason=\"bro\\\"ken\"\n";
        assert_eq!(rest, expected);
    }

    #[test]
    fn control_characters_are_escaped_and_lines_may_end() {
        let line = lines(|| info!(peer = %"\u{1b}[2Jä\u{9b}", "one\u{7}\ntwo"));
        let (_, said) = line.split_once("tests: ").unwrap();
        assert_eq!(said, "one\\u{7}\ntwo peer=\\u{1b}[2Jä\\u{9b}\n");
    }
}
