//! What a recorder writes to: a file, or stdout.

use crate::config::RecordConfig;
use crate::recording::file::{FileError, FileOptions, RecordingFile};
use crate::recording::{BlockRef, RecordingStream};

/// Where the recording goes, in the format's own terms.
pub fn file_options(config: &RecordConfig) -> FileOptions {
    FileOptions {
        path: config.path.clone(),
        format: config.format(),
        rotate_size: config.rotate_size.map(|size| size.bytes()),
        rotate_interval: config.rotate_interval.map(|period| period.0),
        rotate_by_name: config.rotate_by_name,
        keep: config.keep.map(|size| size.bytes()),
    }
}

/// Where blocks go.
pub(super) enum Output {
    File(Box<RecordingFile>),
    Stream(RecordingStream),
}

impl Output {
    pub(super) fn file(config: &RecordConfig) -> Result<Output, FileError> {
        let (file, found) = RecordingFile::open(file_options(config))?;
        let path = found.path.display();
        if found.blocks > 0 {
            tracing::info!(%path, blocks = found.blocks, "appending to the recording");
        }
        if found.cut > 0 {
            tracing::warn!(%path, bytes = found.cut, "a torn tail was cut off the recording");
        }
        if found.damaged > 0 {
            tracing::warn!(%path, bytes = found.damaged, "the recording is damaged; readers skip that part");
        }
        Ok(Output::File(Box::new(file)))
    }

    pub(super) fn stdout(config: &RecordConfig) -> Result<Output, FileError> {
        let stream = RecordingStream::new(config.format(), std::io::stdout());
        let failed = |source| FileError::Io { path: "-".into(), action: "write to stdout", source };
        stream.map(Output::Stream).map_err(failed)
    }

    pub(super) fn write_block(&mut self, block: BlockRef<'_>) -> std::io::Result<()> {
        match self {
            Output::File(file) => file.write_block(block),
            Output::Stream(stream) => stream.write_block(block),
        }
    }

    /// Ends what cannot be written over.
    pub(super) fn finish(&mut self) -> std::io::Result<()> {
        match self {
            Output::File(_) => Ok(()),
            Output::Stream(stream) => stream.finish(),
        }
    }
}
