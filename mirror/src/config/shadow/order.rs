use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::condition::Key;
use crate::config::Expected;
use crate::config::forms::FromWord;

/// What goes to a target in its order: copies of one connection, or of one user. A key alone is `by`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderConfig {
    /// What tells sessions apart: `connection`, `cookie.session`, `header.x-user`. Copies without such a value go as they come.
    pub by: Key,
    /// Whether a session's next copy is sent before the one before it is answered, on the same connection. Otherwise it waits for the answer.
    #[serde(default)]
    pub pipelined: bool,
}

impl FromWord for OrderConfig {
    const FORMS: &'static str =
        "what is to stay in order, as in connection or cookie.session, or a map with the keys `by` and `pipelined`";

    fn from_word(word: &str) -> Result<Self, Expected> {
        Ok(OrderConfig { by: word.parse()?, pipelined: false })
    }

    fn word_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Key>()
    }
}
