//! Settings as a tree whose nodes know their place.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Mapping, Value};

use crate::config::{CaptureConfig, Expected, Fault, Faults};

/// One setting, or several.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The key's path. It stays what it was when a neighbour is taken out.
    pub(super) key: String,
    /// Where it was given: the key's path again, or a flag.
    pub(super) place: String,
    /// Something below was taken out for a fault, so that what is missing here is not a second one.
    pub(super) damaged: bool,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Leaf(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Default for Node {
    /// No settings yet.
    fn default() -> Self {
        Node { key: String::new(), place: String::new(), damaged: false, kind: Kind::Map(Vec::new()) }
    }
}

impl Step {
    /// `shadow.0.lag` and `shadow[0].lag` alike; none where a part is empty.
    pub(super) fn parse(path: &str) -> Option<Vec<Step>> {
        let step = |part: &str| match part.parse() {
            _ if part.is_empty() => None,
            Ok(index) => Some(Step::Index(index)),
            Err(_) => Some(Step::Key(part.to_owned())),
        };
        path.replace('[', ".").replace(']', "").split('.').map(step).collect()
    }

    /// The path one step further.
    pub(super) fn after(&self, path: &str) -> String {
        match self {
            Step::Key(key) if path.is_empty() => key.clone(),
            Step::Key(key) => format!("{path}.{key}"),
            Step::Index(index) => format!("{path}[{index}]"),
        }
    }
}

impl Node {
    /// The tree of a YAML text. A key that stands twice is a fault, and the first is kept.
    pub(super) fn parse(text: &str, faults: &mut Vec<Fault>) -> Result<Node, Faults> {
        let empty = || Faults::from(Fault::missing("the file", "settings, as in `listen: \":80\"`; it has none"));
        // Of a text without any document YAML's own error says less.
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Err(empty());
        }
        let seed = Seed { key: String::new(), place: None, faults };
        let root = seed.deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| {
            let mut why = error.to_string();
            let place = match error.location() {
                Some(at) => {
                    why = why.replace(&format!(" at line {} column {}", at.line(), at.column()), "");
                    format!("line {}, column {}", at.line(), at.column())
                }
                None => "the file".to_owned(),
            };
            Faults::from(Fault::missing(place, format!("plain YAML ({why})")))
        })?;
        match &root.kind {
            Kind::Map(_) => Ok(root),
            Kind::Leaf(Value::Null) => Err(empty()),
            Kind::Leaf(_) | Kind::List(_) => {
                Err(Fault::missing("the file", "a map of settings, as in `listen: \":80\"`").into())
            }
        }
    }

    fn null(key: String, place: &str) -> Node {
        Node { place: place.to_owned(), key, damaged: false, kind: Kind::Leaf(Value::Null) }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Leaf(Value::Null))
    }

    /// Puts a value here, given at `place`.
    pub(super) fn replace(&mut self, value: Value, place: &str) {
        // A value in memory has neither syntax nor, its map being one, duplicates to complain of. What else is odd in it (a tag) is
        // left to the typed read.
        let seed = Seed { key: self.key.clone(), place: Some(place), faults: &mut Vec::new() };
        *self = seed
            .deserialize(value.clone())
            .unwrap_or_else(|_| Node { kind: Kind::Leaf(value), ..Node::null(self.key.clone(), place) });
    }

    /// The node that stands at the end of the steps.
    pub(super) fn find(&self, steps: &[Step]) -> Option<&Node> {
        steps.iter().try_fold(self, |node, step| node.child(step))
    }

    fn child(&self, step: &Step) -> Option<&Node> {
        match (&self.kind, step) {
            (Kind::Map(map), Step::Key(key)) => map.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            (Kind::List(list), Step::Index(index)) => list.get(*index),
            _ => None,
        }
    }

    /// Takes out the node at the end of the steps, which are not none.
    pub(super) fn remove(&mut self, steps: &[Step]) {
        self.damaged = true;
        match (&mut self.kind, steps) {
            (Kind::Map(map), [Step::Key(key)]) => map.retain(|(name, _)| name != key),
            (Kind::List(list), [Step::Index(index)]) => drop(list.remove(*index)),
            (Kind::Map(map), [Step::Key(key), rest @ ..]) => {
                if let Some((_, node)) = map.iter_mut().find(|(name, _)| name == key) {
                    node.remove(rest);
                }
            }
            (Kind::List(list), [Step::Index(index), rest @ ..]) => list[*index].remove(rest),
            _ => {}
        }
    }

    /// The node at the end of the steps, made where there is none. Short forms on the way become long ones.
    pub(super) fn reach(&mut self, steps: &[Step], place: &str) -> Result<&mut Node, Expected> {
        let Some((step, rest)) = steps.split_first() else {
            return Ok(self);
        };
        let key = step.after(&self.key);
        match step {
            Step::Index(index) => {
                let list = self.as_list();
                if *index > list.len() {
                    return Err(format!("an index from 0 to {}, the last of which adds one", list.len()).into());
                }
                if *index == list.len() {
                    list.push(Node::null(key, place));
                }
                list[*index].reach(rest, place)
            }
            Step::Key(name) => {
                let map = self.as_map()?;
                let at = map.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                    map.push((name.clone(), Node::null(key, place)));
                    map.len() - 1
                });
                map[at].1.reach(rest, place)
            }
        }
    }

    /// The list here; what is not one becomes the first in it.
    fn as_list(&mut self) -> &mut Vec<Node> {
        if !matches!(self.kind, Kind::List(_)) {
            let mut first = self.clone();
            first.key = Step::Index(0).after(&self.key);
            self.kind = Kind::List(if self.is_null() { Vec::new() } else { vec![first] });
        }
        match &mut self.kind {
            Kind::List(list) => list,
            Kind::Leaf(_) | Kind::Map(_) => unreachable!("just made a list"),
        }
    }

    /// The map here; a word becomes the value of the key it stands for.
    fn as_map(&mut self) -> Result<&mut Vec<(String, Node)>, Expected> {
        if let ("replay", Kind::List(_)) = (&*self.key, &self.kind) {
            self.list_as_files();
        }
        if let Kind::Leaf(value) = &self.kind {
            let pairs = if value.is_null() { Vec::new() } else { self.meaning(value) };
            let node = |name: &str, value| {
                (name.to_owned(), Node { key: format!("{}.{name}", self.key), kind: Kind::Leaf(value), ..self.clone() })
            };
            self.kind = Kind::Map(pairs.into_iter().map(|(name, value)| node(name, value)).collect());
        }
        match &mut self.kind {
            Kind::Map(map) => Ok(map),
            _ => Err(format!("an index after {0}, as in {0}.0", self.key).into()),
        }
    }

    /// The list here becomes the files of a map.
    fn list_as_files(&mut self) {
        let mut files = self.clone();
        let was = std::mem::replace(&mut files.key, format!("{}.files", self.key));
        if let Kind::List(list) = &mut files.kind {
            for file in list {
                file.key = file.key.replacen(&was, &files.key, 1);
            }
        }
        self.kind = Kind::Map(vec![("files".to_owned(), files)]);
    }

    pub(super) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Leaf(value) => value.clone(),
            Kind::List(list) => Value::Sequence(list.iter().map(Node::to_value).collect()),
            Kind::Map(map) => {
                let pairs = map.iter().map(|(key, node)| (Value::from(key.as_str()), node.to_value()));
                Value::Mapping(pairs.collect::<Mapping>())
            }
        }
    }

    /// What a key of the typed config was called when it was given, and the place to name for it. The key's indices are those of
    /// the tree as it stands, which are lower where a neighbour was taken out.
    pub(super) fn origin_of(&self, key: &str) -> (String, String) {
        let steps = Step::parse(key).unwrap_or_default();
        let mut node = self;
        for (i, step) in steps.iter().enumerate() {
            match (node.child(step), &node.kind, step) {
                (Some(child), ..) => node = child,
                // The one in place of a list of one.
                (None, Kind::Leaf(_) | Kind::Map(_), Step::Index(0)) => {}
                // A word in place of a map.
                (None, Kind::Leaf(_), Step::Key(name)) if node.words_of().contains(&name.as_str()) => {}
                _ => {
                    let original = steps[i..].iter().fold(node.key.clone(), |path, step| step.after(&path));
                    return (original.clone(), original);
                }
            }
        }
        (node.key.clone(), if node.place.is_empty() { node.key.clone() } else { node.place.clone() })
    }

    /// The keys that a word here may stand for.
    fn words_of(&self) -> &'static [&'static str] {
        match self.key.split_once('[').map_or(self.key.as_str(), |(key, _)| key) {
            "capture" => &["interface", "file", "vxlan", "ports"],
            "shadow" => &["target"],
            "record" => &["path"],
            "replay" => &["files"],
            "admin" => &["address"],
            _ if self.key.ends_with(".middleware") => &["command"],
            _ => &[],
        }
    }

    /// What the word here says by those keys.
    fn meaning(&self, word: &Value) -> Vec<(&'static str, Value)> {
        match self.words_of() {
            // One that cannot be read is left to the typed read, which says what is wrong with it.
            ["interface", ..] => match word.as_str().map(str::parse::<CaptureConfig>) {
                Some(Ok(capture)) => capture.keys(),
                _ => vec![("interface", word.clone())],
            },
            [name, ..] => vec![(name, word.clone())],
            [] => Vec::new(),
        }
    }
}

/// Reads a node at a key. `place` is the flag it is given by, if it is.
struct Seed<'a> {
    key: String,
    place: Option<&'a str>,
    faults: &'a mut Vec<Fault>,
}

impl Seed<'_> {
    fn below(&mut self, step: &Step) -> Seed<'_> {
        Seed { key: step.after(&self.key), place: self.place, faults: self.faults }
    }

    fn node(self, kind: Kind) -> Node {
        Node { place: self.place.unwrap_or(&self.key).to_owned(), key: self.key, damaged: false, kind }
    }

    fn leaf(self, value: impl Into<Value>) -> Node {
        self.node(Kind::Leaf(value.into()))
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list or a word, without a tag")
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<Node, E> {
        Ok(self.leaf(v))
    }
    fn visit_i64<E: Error>(self, v: i64) -> Result<Node, E> {
        Ok(self.leaf(v))
    }
    fn visit_u64<E: Error>(self, v: u64) -> Result<Node, E> {
        Ok(self.leaf(v))
    }
    fn visit_i128<E: Error>(self, v: i128) -> Result<Node, E> {
        Ok(self.leaf(v.to_string()))
    }
    fn visit_u128<E: Error>(self, v: u128) -> Result<Node, E> {
        Ok(self.leaf(v.to_string()))
    }
    fn visit_f64<E: Error>(self, v: f64) -> Result<Node, E> {
        Ok(self.leaf(v))
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<Node, E> {
        Ok(self.leaf(v))
    }
    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(self.leaf(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element_seed(self.below(&Step::Index(list.len())))? {
            list.push(node);
        }
        Ok(self.node(Kind::List(list)))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Node, A::Error> {
        let (mut map, mut seen) = (Vec::new(), HashSet::new());
        while let Some(name) = entries.next_key::<Value>()? {
            let name = scalar(&name).ok_or_else(|| A::Error::custom("a key is a word"))?;
            let step = Step::Key(name.clone());
            let node = entries.next_value_seed(self.below(&step))?;
            if seen.insert(name.clone()) {
                map.push((name, node));
            } else {
                let expected = "this key only once".to_owned();
                self.faults.push(Fault { value: node.word(), place: node.place, expected });
            }
        }
        Ok(self.node(Kind::Map(map)))
    }
}

impl Node {
    /// The word that stands here, where it is one.
    pub(super) fn word(&self) -> Option<String> {
        match &self.kind {
            Kind::Leaf(value) => scalar(value),
            Kind::List(_) | Kind::Map(_) => None,
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("null".to_owned()),
        Value::Bool(v) => Some(v.to_string()),
        Value::Number(v) => Some(v.to_string()),
        Value::String(v) => Some(v.clone()),
        Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => None,
    }
}
