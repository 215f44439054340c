//! A request or a response as it was on the wire.

/// A message. The head is kept byte for byte: each char is one byte (Latin-1), so that nothing is lost and it reads well.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// The head, from the start line to the empty line, both included.
    pub head: String,
    /// The body, transfer coding removed.
    pub body: Vec<u8>,
    /// Before a response: the heads of interim ones (1xx).
    pub interim: Vec<String>,
    /// On a server: the number of the connection it came on, counted from 0.
    pub connection: usize,
}

/// Bytes as text, one char a byte.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

impl Message {
    /// The head's first line.
    pub fn start_line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    /// The header lines in order, as sent.
    pub fn lines(&self) -> Vec<&str> {
        self.head.split("\r\n").skip(1).filter(|line| !line.is_empty()).collect()
    }

    /// The header lines, sorted: for comparing heads whose order may change.
    pub fn sorted_lines(&self) -> Vec<&str> {
        let mut lines = self.lines();
        lines.sort_unstable();
        lines
    }

    /// The values of a header, its name in any case.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        let named = |line: &&str| line.split(':').next().is_some_and(|n| n.eq_ignore_ascii_case(name));
        self.lines().into_iter().filter(named).map(|line| line[name.len() + 1..].trim()).collect()
    }

    /// The first value of a header, its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).first().copied()
    }

    /// A response's status.
    ///
    /// # Panics
    /// When it is not a response.
    #[track_caller]
    pub fn status(&self) -> u16 {
        let status = self.start_line().split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("not a status line: {:?}", self.start_line()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        latin1(&self.body)
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|codings| codings.to_ascii_lowercase().ends_with("chunked"))
    }

    pub(crate) fn content_length(&self) -> Option<usize> {
        self.header("content-length").and_then(|length| length.parse().ok())
    }
}
