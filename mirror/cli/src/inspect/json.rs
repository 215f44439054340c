//! Exchanges as lines of JSON: what `mirror convert … -` writes in that format.

use std::io::{self, Write};
use std::path::Path;

use mirror::recording::{Format, Record, WriteRecords};

use super::Show;

pub(super) struct Lines {
    writer: Option<Box<dyn WriteRecords>>,
}

impl Lines {
    pub(super) fn new(output: impl Write + Send + 'static) -> io::Result<Lines> {
        let format = Format::of(Path::new("-.jsonl")).map_err(io::Error::other)?;
        Ok(Lines { writer: Some(format.writer(output)?) })
    }
}

impl Show for Lines {
    fn show(&mut self, record: &Record) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), |writer| writer.write(record))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), |writer| writer.flush())
    }

    fn end(&mut self) -> io::Result<()> {
        self.writer.take().map_or(Ok(()), |writer| writer.finish().map(drop))
    }
}
