//! What the program says of itself: the schema of its settings, completions, the man page.

use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use mirror::config::Config;

use crate::args::Args;

pub(crate) fn schema() -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&Config::schema())? + "\n")
}

pub(crate) fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "mirror", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

pub(crate) fn man() -> anyhow::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Args::command()).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// A page for the program and one for each subcommand.
pub(crate) fn man_pages(folder: &Path) -> anyhow::Result<()> {
    clap_mangen::generate_to(Args::command(), folder).with_context(|| folder.display().to_string())
}
