use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::config::forms::FromWord;
use crate::config::{ByteSize, Expected, Period, seconds};

/// A program of one's own that sees each request, its response and what the targets answered, and says what goes on: GoReplay's middleware
/// protocol. A command alone is `command`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MiddlewareConfig {
    /// The program and its arguments: a list, or a text that is split at its spaces. No shell reads it.
    pub command: CommandLine,
    /// How many of them run. All messages of a client's connection go to the same one, in their order.
    #[serde(default = "default_workers")]
    pub workers: NonZeroUsize,
    /// How long the program may take over a message that it has read: what it has not printed by then is filtered. And how long it may show no sign
    /// of life: then all that it has, and all that waits, fails. A second is far longer than programs take, and what is filtered is held for it.
    #[serde(default = "default_timeout")]
    pub timeout: Period,
    /// What happens to a message that fails: the program ended or stalled over it, or it is longer than `max_body`.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Longer bodies are not shown to the program: their messages fail. 1 MiB, as each is held as a whole and is twice as long in the pipe.
    #[serde(default = "default_max_body")]
    pub max_body: ByteSize,
    /// Show it the responses and the targets' answers too; what it prints of them is what is recorded. Otherwise only requests.
    #[serde(default = "default_responses")]
    pub responses: bool,
    /// Messages that one worker may have and not have printed; no more are given to it then. At 5,000 exchanges a second, each with a response and an
    /// answer, it is what a program that filters all of them has within a second.
    #[serde(default = "default_in_flight")]
    pub in_flight: NonZeroUsize,
    /// Messages that may wait until one worker reads; more fail. What a program reads in half a second or less, and what comes while it starts.
    #[serde(default = "default_queue")]
    pub queue: NonZeroUsize,
    /// Bytes of these; more fail. So many of the longest as a program reads in a fraction of a second.
    #[serde(default = "default_queue_bytes")]
    pub queue_bytes: ByteSize,
    /// How soon a program that has ended is started again.
    #[serde(default)]
    pub restart: RestartConfig,
}

/// What happens to a message that a program should have seen and has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It goes no further (`middleware`), as in GoReplay. The default: a program may be there to mask what must not go on, and of a copy too few is
    /// counted, where one too many cannot be taken back.
    #[default]
    Drop,
    /// It goes on as it came.
    Pass,
}

/// When a program that has ended is started again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RestartConfig {
    /// The first pause; it doubles each time, until the program has run for a minute.
    pub min: Period,
    /// The longest pause, so that a program that was mended is used again within it.
    pub max: Period,
}

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandLine(Vec<String>);

impl MiddlewareConfig {
    /// This command, with the default for all else.
    pub fn new(command: CommandLine) -> Self {
        MiddlewareConfig {
            command,
            workers: default_workers(),
            timeout: default_timeout(),
            on_failure: OnFailure::default(),
            max_body: default_max_body(),
            responses: default_responses(),
            in_flight: default_in_flight(),
            queue: default_queue(),
            queue_bytes: default_queue_bytes(),
            restart: RestartConfig::default(),
        }
    }
}

impl CommandLine {
    /// The words as they are, the program first.
    ///
    /// # Errors
    /// When there is no program.
    pub fn new(words: Vec<String>) -> Result<Self, Expected> {
        match words.first() {
            Some(program) if !program.is_empty() && !words.iter().any(|word| word.contains('\0')) => {
                Ok(CommandLine(words))
            }
            _ => Err("a command, as in python3 mask.py or [python3, mask.py]".into()),
        }
    }

    /// The program: a path, or a name that is looked for in PATH.
    pub fn program(&self) -> &str {
        &self.0[0]
    }

    /// What it is given.
    pub fn arguments(&self) -> &[String] {
        &self.0[1..]
    }
}

impl std::str::FromStr for CommandLine {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        CommandLine::new(text.split_ascii_whitespace().map(str::to_owned).collect())
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl Default for RestartConfig {
    fn default() -> Self {
        RestartConfig { min: Period(Duration::from_millis(100)), max: seconds(30) }
    }
}

impl FromWord for MiddlewareConfig {
    const FORMS: &'static str = "a command, as in python3 mask.py, or a map with the key `command`";

    fn from_word(word: &str) -> Result<Self, Expected> {
        Ok(MiddlewareConfig::new(word.parse()?))
    }

    fn word_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["python3 mask.py"] })
    }
}

impl<'de> Deserialize<'de> for CommandLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrList;

        impl<'de> Visitor<'de> for TextOrList {
            type Value = CommandLine;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command, as in python3 mask.py or [python3, mask.py]")
            }

            fn visit_str<E: Error>(self, v: &str) -> Result<CommandLine, E> {
                v.parse().map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<CommandLine, A::Error> {
                CommandLine::new(Vec::deserialize(SeqAccessDeserializer::new(seq))?).map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(TextOrList)
    }
}

impl JsonSchema for CommandLine {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CommandLine".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A program and its arguments.",
            "anyOf": [
                { "type": "string", "pattern": r"\S" },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 }
            ],
            "examples": ["python3 mask.py"]
        })
    }
}

fn default_workers() -> NonZeroUsize {
    NonZeroUsize::MIN
}
fn default_timeout() -> Period {
    seconds(1)
}
fn default_max_body() -> ByteSize {
    ByteSize::mib(1)
}
fn default_responses() -> bool {
    true
}
fn default_in_flight() -> NonZeroUsize {
    NonZeroUsize::new(16_384).expect("not zero")
}
fn default_queue() -> NonZeroUsize {
    NonZeroUsize::new(4096).expect("not zero")
}
fn default_queue_bytes() -> ByteSize {
    ByteSize::mib(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        let words = |text: &str| text.parse::<CommandLine>().map(|command| command.0);
        assert_eq!(words("python3  mw.py --mask\t'a b'").unwrap(), ["python3", "mw.py", "--mask", "'a", "b'"]);
        assert!(words("").is_err() && words(" \n").is_err() && words("a\0b").is_err());
        let list: CommandLine = serde_yaml::from_str("[./mask, 'a b', '']").unwrap();
        assert_eq!((list.program(), list.arguments()), ("./mask", &["a b".to_owned(), String::new()][..]));
        assert!(serde_yaml::from_str::<CommandLine>("[]").is_err());
        assert!(serde_yaml::from_str::<CommandLine>("['']").is_err());
    }

    #[test]
    fn the_constructor_and_yaml_have_the_same_defaults() {
        let command: CommandLine = "python3 mw.py".parse().unwrap();
        let read: MiddlewareConfig = serde_yaml::from_str("command: python3 mw.py").unwrap();
        assert_eq!(read, MiddlewareConfig::new(command));
    }
}
