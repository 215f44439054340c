//! What became of an exchange, and of each copy: the words that metrics, recordings and the summary share.

/// Declares an enum of reasons with the label that metrics and recordings use.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// As metrics and recordings call it.
            pub const fn label(self) -> &'static str {
                match self { $($name::$variant => $label,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.label())
            }
        }
    };
}

reasons! {
    /// Why a copy was given up by us.
    DropReason {
        /// The byte budget was spent.
        Memory = "memory",
        /// The sink held back its share of the byte budget.
        Share = "share",
        /// The sink fell too far behind within one exchange.
        Lag = "lag",
        /// The sink's queue was full.
        QueueFull = "queue_full",
        /// The target is failing and is left alone for a while.
        Backoff = "backoff",
        /// The source lost the exchange before its request was whole.
        Aborted = "aborted",
        /// The capture lost bytes of the request.
        Incomplete = "incomplete",
        /// The head cannot be read, or the body is not as long as it says.
        Malformed = "malformed",
        /// The application may have made another request of the same bytes.
        Ambiguous = "ambiguous",
        /// A stage has to see all of a body, and could not.
        Withheld = "withheld",
        /// The body is longer than a stage may collect, and is not to go on without it.
        BodyTooLong = "body_too_long",
        /// The middleware failed, and nothing is to go on without it.
        Middleware = "middleware",
        /// The recording's format cannot hold it.
        Format = "format",
        /// The disk did not keep up.
        DiskSlow = "disk_slow",
        /// The program ended first.
        Shutdown = "shutdown",
    }
}

reasons! {
    /// Why a copy that was taken did not arrive.
    FailReason {
        /// The target's name was not found.
        Resolve = "resolve",
        /// The connection was refused, or could not be opened.
        Connect = "connect",
        /// The connection took too long to open.
        ConnectTimeout = "connect_timeout",
        /// The answer took too long.
        Timeout = "timeout",
        /// The target reset or closed the connection before it had answered.
        Reset = "reset",
        /// What came back is not HTTP.
        Protocol = "protocol",
        /// The disk is full.
        DiskFull = "disk_full",
        /// The disk failed otherwise.
        Disk = "disk",
    }
}

reasons! {
    /// Why a sink was not meant to have an exchange; this is no loss.
    SkipReason {
        /// It is outside the fraction that is mirrored.
        Fraction = "fraction",
        /// A filter left it out.
        Filter = "filter",
        /// A rate limit left it out.
        Rate = "rate",
        /// It went to another target of its group.
        Split = "split",
        /// A middleware left it out.
        Middleware = "middleware",
        /// It bears the marker: it is a copy itself.
        Marked = "marked",
        /// The sink is paused.
        Paused = "paused",
    }
}

reasons! {
    /// What became of a message that a middleware was to see.
    Screening {
        /// It was printed as it was.
        Unchanged = "unchanged",
        /// Another was printed in its place.
        Changed = "changed",
        /// It was read and not printed.
        Filtered = "filtered",
        /// It was not read in time.
        Stalled = "stalled",
        /// The program ended over it.
        Exited = "exited",
        /// The program has ended, and was not started again in time.
        Down = "down",
        /// Too many messages, or bytes of them, were with the program already.
        Full = "full",
        /// Its body is longer than `max_body`.
        TooLong = "too_long",
        /// Its source lost a part of it.
        Cut = "cut",
        /// What was printed in its place is not HTTP.
        Malformed = "malformed",
    }
}

reasons! {
    /// What is wrong with a line that a middleware printed.
    BadLine {
        /// It is no message in hex.
        Malformed = "malformed",
        /// It is longer than a message may be.
        TooLong = "too_long",
        /// Nobody waits for that message: it was printed twice or too late, or has another id.
        Unmatched = "unmatched",
    }
}

reasons! {
    /// Why an exchange did not come to its end.
    Abort {
        /// The client left.
        Downstream = "downstream",
        /// The application refused, reset or was late.
        Upstream = "upstream",
        /// The capture did not see the rest.
        Capture = "capture",
        /// It is framed so that nobody can tell where it ends.
        Framing = "framing",
        /// We ended first.
        Shutdown = "shutdown",
    }
}

reasons! {
    /// Why a recorded request is not sent again.
    LeftOut {
        /// Its body was not recorded as a whole.
        Truncated = "truncated",
        /// Its head, or that of its response, broke RFC 9112's syntax.
        Malformed = "malformed",
        /// Others may have seen it end elsewhere.
        Ambiguous = "ambiguous",
    }
}

reasons! {
    /// By which rule a value was redacted.
    Redacted {
        /// A header's or trailer's name.
        Header = "header",
        /// A cookie's name.
        Cookie = "cookie",
        /// A parameter's name.
        Query = "query",
        /// The user and password of a URL.
        Userinfo = "userinfo",
        /// A form field's name.
        Form = "form",
        /// A JSON pointer or key.
        Json = "json",
        /// The pattern of card numbers.
        Card = "card",
        /// The pattern of bearer tokens.
        Bearer = "bearer",
        /// The pattern of JSON Web Tokens.
        Jwt = "jwt",
        /// The pattern of e-mail addresses.
        Email = "email",
        /// An expression of the settings.
        Pattern = "pattern",
    }
}

reasons! {
    /// Why a body was withheld, as a stage that has to see into it cannot.
    Withheld {
        /// It is longer than `max_body`, or decodes to more.
        TooLong = "too_long",
        /// Not all of it was seen.
        Cut = "cut",
        /// It is a part of a longer one (RFC 9110 §14), which may begin or end within a secret.
        Partial = "partial",
        /// It is compressed in a way that is not known, or not as its head says.
        Coding = "coding",
        /// Its characters are not spelled as in ASCII.
        Charset = "charset",
        /// It is JSON that cannot be read, or has JSON within.
        Json = "json",
        /// It has parts (multipart).
        Multipart = "multipart",
        /// The byte budget has no room for the work.
        Memory = "memory",
    }
}

/// What became of one sink's copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived, and was answered or written.
    Delivered,
    /// We gave it up.
    Dropped(DropReason),
    /// It did not arrive.
    Failed(FailReason),
    /// It was not meant to go there.
    Skipped(SkipReason),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Delivered => f.write_str("delivered"),
            Outcome::Dropped(reason) => write!(f, "dropped: {reason}"),
            Outcome::Failed(reason) => write!(f, "failed: {reason}"),
            Outcome::Skipped(reason) => write!(f, "skipped: {reason}"),
        }
    }
}
