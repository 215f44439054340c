//! What is to be done, as data: programs, what they read, and when they are run.

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words(pub(super) Vec<String>);

impl Words {
    /// Of a line without quotes.
    pub(super) fn of(line: &str) -> Words {
        Words(line.split_whitespace().map(str::to_owned).collect())
    }

    pub(super) fn program(&self) -> &str {
        &self.0[0]
    }
}

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// All of it.
#[derive(Debug)]
pub(super) enum Steps {
    Parts {
        /// Whose rules they are.
        by: &'static str,
        parts: Vec<Part>,
        /// What says whether this way is open.
        check: Option<Step>,
    },
    /// The first where its check succeeds, else the second.
    Either(Box<Steps>, Box<Steps>),
}

/// Steps with one purpose.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) why: &'static str,
    /// For hosts that have IPv6.
    pub(super) ipv6: bool,
    /// What need not be there: without it there is nothing to do.
    pub(super) unless_missing: Option<&'static str>,
    pub(super) steps: Vec<Step>,
}

impl Part {
    pub(super) fn new(why: &'static str, step: Step) -> Part {
        Part { why, ipv6: false, unless_missing: None, steps: vec![step] }
    }
}

/// One program that is run.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) when: When,
    pub(super) run: Words,
    /// What it reads.
    pub(super) input: Vec<Line>,
}

/// A line of what a program reads.
#[derive(Debug)]
pub(super) enum Line {
    Always(String),
    /// Where this succeeds.
    If(Words, String),
}

/// When a step is taken.
#[derive(Debug)]
pub(super) enum When {
    Always,
    /// Where this succeeds.
    Succeeds(Words),
    /// Where this prints something.
    Prints(Words),
    /// Where this does not.
    PrintsNothing(Words),
}
