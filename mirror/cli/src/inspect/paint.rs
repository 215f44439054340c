//! Colours, where they are wanted.

use std::fmt::Display;

use clap::builder::styling::{AnsiColor, Style};

/// Whether there are colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    fn with(self, style: Style, text: impl Display) -> String {
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    pub(super) fn dim(self, text: impl Display) -> String {
        self.with(Style::new().dimmed(), text)
    }

    pub(super) fn bold(self, text: impl Display) -> String {
        self.with(Style::new().bold(), text)
    }

    pub(super) fn name(self, text: impl Display) -> String {
        self.with(AnsiColor::Cyan.on_default(), text)
    }

    pub(super) fn warning(self, text: impl Display) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    /// By the class of a status; none is a response that did not come.
    pub(super) fn status(self, status: Option<u16>, text: impl Display) -> String {
        let color = match status {
            Some(200..=299) => AnsiColor::Green,
            Some(300..=399) => AnsiColor::Cyan,
            Some(400..=499) => AnsiColor::Yellow,
            Some(100..=199) => AnsiColor::Blue,
            _ => AnsiColor::Red,
        };
        self.with(color.on_default(), text)
    }
}
